"""Training and inference of neural networks, one file for each family."""
