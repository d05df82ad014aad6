"""What `hashwarden top` shows on a terminal: read from an agent or a service, laid out, kept current."""
