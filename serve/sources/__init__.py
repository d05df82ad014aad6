"""Where samples come from: one file each, registered in one line."""
