"""Every module says what it exports, exports what exists, and is asked for nothing else."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"src/hashwarden": "hashwarden", "kernels": "", "model": "", "serve": "", "training": ""}


def _modules() -> dict[str, Path]:
    found = {}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / "src" if folder.startswith("src") else ROOT).with_suffix("").parts
            parts = parts if parts[0] == "hashwarden" else ("hashwarden", *parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = _modules()
TREES = {name: ast.parse(file.read_text()) for name, file in MODULES.items()}


def _targets(node: ast.stmt) -> list[str]:
    """Names that one statement at the top of a module binds."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign():
            return [leaf.id for target in node.targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import() | ast.ImportFrom():
            return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        case ast.If() | ast.Try():
            return [
                name for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt) for name in _targets(inner)
            ]
    return []


def _exports(name: str) -> list[str] | None:
    for node in TREES[name].body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__all__"]:
            return ast.literal_eval(node.value)
    return None


def _special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


@pytest.mark.parametrize("name", MODULES)
def test_exports_exist_and_are_told(name):
    bound = [target for node in TREES[name].body for target in _targets(node)]
    exports = _exports(name)
    if exports is None:
        assert [target for target in bound if not _special(target)] == [], "what defines something needs __all__"
        return
    assert len(exports) == len(set(exports))
    assert set(exports) <= set(bound)
    assert [export for export in exports if export.startswith("_") and not _special(export)] == []


@pytest.mark.parametrize("name", MODULES)
def test_only_exported_names_are_imported_from_us(name):
    asked = [
        (node.module, alias.name)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "") in MODULES
        for alias in node.names
    ]
    hidden = [
        f"{module}.{item}"
        for module, item in asked
        if item not in (_exports(module) or ()) and f"{module}.{item}" not in MODULES and not _special(item)
    ]
    assert hidden == []


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    assert ast.get_docstring(TREES[name])
