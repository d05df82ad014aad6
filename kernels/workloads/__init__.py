"""Labelled, inert GPU kernels: hash families, machine learning, and the confounders between them."""
