"""Contention probes: short kernels that feel what else runs on the same GPU."""
