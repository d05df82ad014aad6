"""The program that runs on a GPU node."""
