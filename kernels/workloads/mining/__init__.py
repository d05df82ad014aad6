"""Inert programs with the shape of proof-of-work mining, one file for each family."""
