"""Data, fit, evaluation and red team of the job model."""
