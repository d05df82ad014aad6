"""What runs on a node: scanner, scorer, agent. Never imports torch."""
