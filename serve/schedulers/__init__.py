"""Those that start and end jobs, and what can be asked of them."""
