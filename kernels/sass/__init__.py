"""GPU machine code (SASS) in, kernel mix out."""
