"""The digest of code: what is kept of a run is used again only by the code that would make the same of it."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import components
from components.core.files import sha256


@cache
def digest(*names: str) -> str:
    """The digest of modules and folders below `components`, and of the pinned versions of libraries."""
    (package,) = map(Path, components.__path__)
    paths = [path for name in names for path in ([package / name] if name.endswith(".py") else _below(package / name))]
    lock = package.parent / "requirements.lock"
    parts = [*map(of_module, paths), *(sha256(path) for path in [lock] if path.exists())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _below(folder: Path) -> Iterable[Path]:
    return sorted(folder.rglob("*.py"))


def of_module(path: Path) -> str:
    """The digest of a module's syntax tree without comments, positions and docstrings.

    docs/decisions.md, "Checkpoints know the code by its syntax tree"
    """
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
