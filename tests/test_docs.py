"""What the docs show works on this checkout."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DIFFS = re.findall(
    r"^```diff\n(.*?)^```", (ROOT / "docs/extend.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("number", range(len(DIFFS)))
def test_a_diff_of_the_docs_applies(number: int) -> None:
    answer = subprocess.run(
        ["git", "apply", "--check", "-"], cwd=ROOT, input=DIFFS[number], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```diff\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(r"(?<![\w/])(?:components|flows|tests|benchmarks)/[\w/]+\.(?:py|yaml)", text)
    made = set(re.findall(r"^\+\+\+ b/(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE))  # by a diff of the page
    assert [path for path in paths if not (ROOT / path).exists() and path not in made] == []
