"""The command line, one file per command group; nothing heavy is imported before a command runs."""

from hashwarden.cli.app import main

__all__ = ["main"]
