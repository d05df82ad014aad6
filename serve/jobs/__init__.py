"""Who runs what: from GPUs and processes to the jobs of a scheduler."""
