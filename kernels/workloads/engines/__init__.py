"""Engines that carry out plans: Numba on the CPU, Numba for CUDA, CUDA C through CuPy."""
