"""A conflict of git in `dvc.lock`: how it is known by the text alone, and what to do about it."""

import re

ADVICE = "take one side whole, by `git checkout --ours dvc.lock` or `--theirs`; DVC's cache has what the other one held"


def is_in(text: str) -> bool:
    """Whether a text has the marks that git leaves of a merge which is for a person to decide."""
    return bool(re.search(r"^<{7} ", text, re.MULTILINE))
