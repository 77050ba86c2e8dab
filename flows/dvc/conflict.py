"""A git merge conflict in `dvc.lock`: how to detect it by the text alone, and what to do about it."""

import re

ADVICE = "take one side whole, by `git checkout --ours dvc.lock` or `--theirs`; DVC's cache has what the other one held"


def is_in(text: str) -> bool:
    """Whether a text has the conflict markers of git."""
    return bool(re.search(r"^<{7} ", text, re.MULTILINE))
