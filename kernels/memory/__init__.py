"""What a kernel reads and writes: sampled address logs, and the patterns in them."""
