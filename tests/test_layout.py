"""The house: packages are the folders that exist, the wheel holds what it should, files and functions are short."""

import ast
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = SETUPTOOLS["package-dir"]
LONGEST_FILE = 400
LONGEST_FUNCTION = 40


def _package_of(folder: Path) -> str:
    """The import name of a folder of the repository."""
    best = max((name for name, base in FOLDERS.items() if folder.is_relative_to(ROOT / base)), key=len)
    inner = folder.relative_to(ROOT / FOLDERS[best]).parts
    return ".".join([best, *inner])


def _package_folders() -> list[Path]:
    return [file.parent for base in FOLDERS.values() for file in sorted((ROOT / base).rglob("__init__.py"))]


def test_the_packages_listed_are_the_folders_with_an_init():
    assert sorted(SETUPTOOLS["packages"]) == sorted(_package_of(folder) for folder in _package_folders())


def test_no_python_file_lies_outside_the_packages():
    folders = set(_package_folders())
    stray = [
        str(f.relative_to(ROOT))
        for base in FOLDERS.values()
        for f in (ROOT / base).rglob("*.py")
        if f.parent not in folders
    ]
    assert stray == []


def test_tests_have_no_init():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def _expected_files() -> set[str]:
    """What a wheel of this tree holds, besides its metadata."""
    found = set()
    for folder in _package_folders():
        package = _package_of(folder)
        patterns = ["*.py", *SETUPTOOLS["package-data"].get(package, ())]
        for pattern in patterns:
            found |= {
                f"{package.replace('.', '/')}/{f.relative_to(folder)}" for f in folder.glob(pattern) if f.is_file()
            }
    return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist of a copy of the tree, and a wheel from that sdist."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in {Path(base).parts[0] for base in FOLDERS.values()}:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


def test_the_wheel_holds_every_module_and_all_package_data_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == _expected_files()


def test_the_sdist_holds_what_the_wheel_holds(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    bases = sorted(FOLDERS.items(), key=lambda item: -len(item[0]))
    for name in _expected_files():
        package, base = next((p, b) for p, b in bases if name.startswith(p.replace(".", "/") + "/"))
        assert base + name[len(package.replace(".", "/")) :] in names


def test_package_data_patterns_match_something():
    empty = [
        f"{package}: {pattern}"
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        if not any(fnmatch(name, f"{package.replace('.', '/')}/{pattern}") for name in _expected_files())
    ]
    assert empty == []


PYTHON = sorted(
    file
    for name in ("src", "kernels", "model", "serve", "training", "tests", "benchmarks", "examples")
    for file in (ROOT / name).rglob("*.py")
)


@pytest.mark.parametrize("file", PYTHON, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_are_short(file):
    text = file.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    long = {f"{node.name}, line {node.lineno}": _length(node) for node in functions}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and decorators."""
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines
