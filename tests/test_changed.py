"""Which tests belong to changed files."""

from pathlib import Path

import pytest

from tests.changed import OF_ALL, OF_OTHERS, belonging


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("components/data/listing.py", ["tests/components/data/test_listing.py"]),
        ("tests/components/data/test_listing.py", ["tests/components/data/test_listing.py"]),
        ("docs/extend.md", ["tests/test_docs.py"]),
        ("CONTRIBUTING.md", ["tests/test_docs.py"]),
        ("presets/smoke.yaml", ["tests/flows/cli/test_main.py"]),
        ("docs/images/report.png", []),
    ],
)
def test_the_tests_of_a_file_are_found(changed: str, tests: list[str]) -> None:
    assert belonging([Path(changed)]) == sorted({OF_ALL, *map(Path, tests)})


def test_every_named_test_is_there() -> None:
    assert all(path.exists() for path in (OF_ALL, *OF_OTHERS.values()))
