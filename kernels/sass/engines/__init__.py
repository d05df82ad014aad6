"""The engines that compute a kernel mix: all equal to the NumPy reference in mix.py and flow.py."""
