"""Everything that touches GPU code or runs on the GPU. Imports nothing of ours but the errors."""
