"""The CUDA C programs of the workloads: which kernels of the catalogue are launched, how, and with what."""
