"""hashwarden: tells what the jobs on a GPU node compute, from the machine code that they run."""

from hashwarden.version import __version__

__all__ = ["__version__"]
