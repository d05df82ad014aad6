"""Training and evaluation of the kernel model."""
