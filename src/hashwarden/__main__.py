"""``python -m hashwarden``: the same as ``hashwarden``, by the interpreter that it is run with."""

from hashwarden.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
