"""A command under watch: `hashwarden guard -- COMMAND`."""
