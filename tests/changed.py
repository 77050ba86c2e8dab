"""Prints the tests that belong to what was changed: since the branch left the upstream one or main, committed or not.

`pytest $(python -m tests.changed)` runs them. The tests mirror the tree, so that those of `components/stages/ingest.py`
are `tests/components/stages/test_ingest.py`. Those of a file without such tests are all in the folder where they would
be, or in the nearest one above. Settings, catalogues and pages have those of `OF_OTHERS`. What holds of all files
is among them every time.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

TESTS = Path("tests")
OF_ALL = TESTS / "test_architecture.py"
OF_OTHERS = {
    "*.md": TESTS / "test_docs.py",
    "params.yaml": TESTS / "flows/cli/test_main.py",
    "presets/*.yaml": TESTS / "flows/cli/test_main.py",
    "data/*.yaml": TESTS / "components/data/sources/test_catalog.py",
}
"""A pattern of files that are not Python -> the tests that read them."""
UPSTREAMS = ("@{upstream}", "origin/main", "main", "HEAD")


def main() -> None:
    """Print the paths, each in a line of its own."""
    print(*belonging(changed()), sep="\n")


def changed() -> set[Path]:
    """The files that git knows as changed or new."""
    base = next(line for name in UPSTREAMS for line in _git("merge-base", "HEAD", name))
    return {
        Path(line) for line in [*_git("diff", "--name-only", base), *_git("ls-files", "--others", "--exclude-standard")]
    }


def belonging(files: Iterable[Path]) -> list[Path]:
    """The test files of these files, sorted."""
    return sorted({OF_ALL}.union(*map(_tests, files)))


def _tests(path: Path) -> set[Path]:
    if path.suffix != ".py":
        return {tests for pattern, tests in OF_OTHERS.items() if path.match(pattern)}
    if path.name.startswith("test_"):
        return {path} if path.exists() else set()
    folder = path.parent if path.is_relative_to(TESTS) else TESTS / path.parent
    own = folder / f"test_{path.name}"
    if own.exists():
        return {own}
    nearest = next(above for above in (folder, *folder.parents) if any(above.glob("test_*.py")))
    return set(nearest.glob("test_*.py"))


def _git(*arguments: str) -> list[str]:
    """Lines that git printed; none when it refused."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.splitlines()


if __name__ == "__main__":
    main()
