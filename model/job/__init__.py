"""The job model: a network that reads samples one by one, and what its numbers mean."""
