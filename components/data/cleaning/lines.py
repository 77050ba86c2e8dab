"""Lines that leave a document: those that C4 drops, and those that stand in many documents of its source."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from components.data.cleaning.boilerplate import Boilerplate
from components.data.cleaning.normalise import normalise

BOILERPLATE = "boilerplate lines"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
ENDS = (".", "?", "!", '"', "'", "”", "’", "。", "？", "！")  # C4's, and what typographers put for them

DROPS: dict[str, Callable[[str, Any], bool]] = {  # whether a rule with its setting drops a line
    "c4_max_word_length_in_line": lambda line, most: len(line) > most and max(map(len, line.split())) > most,
    "c4_drop_lines_without_end": lambda line, on: on and (not line.endswith(ENDS) or line.endswith("...")),
    "c4_min_words_in_line": lambda line, least: len(line.split()) < least,
    "c4_drop_javascript_lines": lambda line, on: on and "javascript" in line.lower(),
    "c4_drop_policy_lines": lambda line, on: on and any(map(line.lower().__contains__, POLICIES)),
}


class Shortened(NamedTuple):
    """A text without the lines that left it, and how many did for what."""

    text: str
    dropped: Mapping[str, int]


def shortened(text: str, source: str, rules: Mapping[str, Any], boilerplate: Boilerplate | None) -> Shortened:
    """The text without the lines that a rule drops or that are boilerplate of its source."""
    if not rules and not boilerplate:
        return Shortened(text, {})
    dropped = Counter[str]()
    kept = []
    for line in text.split("\n"):
        rule = _rule(line, source, rules, boilerplate)
        if rule:
            dropped[rule] += 1
        else:
            kept.append(line)
    return Shortened(normalise("\n".join(kept)) if dropped else text, dropped)


def _rule(line: str, source: str, rules: Mapping[str, Any], boilerplate: Boilerplate | None) -> str | None:
    """What drops a line, None for nothing. Blank lines stand between paragraphs and are not asked about."""
    if not line or line.isspace():
        return None
    if boilerplate and boilerplate.has(line, source):
        return BOILERPLATE
    return next((name for name, setting in rules.items() if DROPS[name](line, setting)), None)
