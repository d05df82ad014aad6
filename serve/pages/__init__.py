"""Pages for people: the dashboard's files, and what programs need to serve them."""
