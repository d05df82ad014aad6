"""Coverage-guided fuzzing for as long as you like; `run.py` is what CI runs.

    python tests/fuzz/atheris_walk.py CORPUS_FOLDER -max_len=65536 -rss_limit_mb=2048

The folder is filled with the seeds if it is empty. Anything but an error of ours stops the run and leaves the input.
"""

import runpy
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import atheris

HERE = Path(__file__).parent


def main() -> None:
    """Instrument the readers, then fuzz."""
    with atheris.instrument_imports(include=["hashwarden"]):  # the name of a top-level package
        import_module("hashwarden.kernels.sass.containers")
    run = runpy.run_path(str(HERE / "run.py"))
    every = runpy.run_path(str(HERE / "seeds.py"))["every"]()
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    for folder in folders[:1]:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            for name, data in every.items():
                (folder / name).write_bytes(data)
    for data in every.values():
        run["consume"](data, Counter())
    atheris.Setup(sys.argv, lambda data: run["consume"](data, Counter()))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
