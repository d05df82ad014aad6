"""High-rate counter streams of a whole GPU, and the rhythms in them."""
