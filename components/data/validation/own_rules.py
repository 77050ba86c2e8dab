"""The rules of users, `validate.rules`: which rows of a batch break one.

The checks are functions of Arrow. Its patterns are those of RE2, which take linear time whatever the text is.
"""

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import re2

from components.core.errors import BadSettings
from components.core.params import suggest
from components.data.privacy.masking import mask
from components.data.settings import OwnRule
from components.data.tables.records import SCHEMAS

QUIET = re2.Options()
QUIET.log_errors = False  # they are told in an error
INPUTS = "inputs."
CHECKS = ("present", "characters", "value", "matches", "excludes", "one_of")
EXCERPTS = 5  # of the rows of a batch that break a rule; of more only the number is told
SHOWN = 60  # characters of an excerpt
BEFORE = 20  # of them before what a pattern found


def check(rules: Sequence[OwnRule]) -> None:
    """Raise `BadSettings` with everything that is wrong in rules."""
    problems = [f"validate.rules: `{rule.name}`: {problem}" for rule in rules for problem in _problems(rule)]
    names = [rule.name for rule in rules]
    problems += [f"validate.rules: two are named `{name}`" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise BadSettings(f"params.yaml: {'; '.join(problems)}")


def _problems(rule: OwnRule) -> Iterator[str]:
    known = SCHEMAS[rule.table].names
    if rule.column not in known and not (rule.table == "examples" and rule.column.startswith(INPUTS)):
        names = known if rule.table == "documents" else [*known, f"{INPUTS}NAME"]
        yield f"{rule.table} have no column `{rule.column}`; {suggest(rule.column, names)}"
    for column in rule.where or ():
        if column not in known:
            yield f"where: {rule.table} have no column `{column}`; {suggest(column, known)}"
    if len(_checks(rule)) != 1:
        given = ", ".join(_checks(rule)) or "none"
        yield (
            "it needs one check of present, min_characters and max_characters, min_value and max_value, matches, "
            f"excludes, one_of; it has {given}"
        )
    for pattern in (rule.matches, rule.excludes):
        if pattern is not None:
            try:
                re2.compile(pattern, QUIET)
            except re2.error as error:
                yield f"{pattern} is no pattern of RE2: {_message(error)}"


def _message(error: Exception) -> str:
    (text,) = error.args
    return text.decode() if isinstance(text, bytes) else str(text)


def _checks(rule: OwnRule) -> list[str]:
    limits = {
        "characters": (rule.min_characters, rule.max_characters),
        "value": (rule.min_value, rule.max_value),
    }
    given = {name: limits[name] if name in limits else (getattr(rule, name),) for name in CHECKS}
    return [name for name, values in given.items() if any(value is not None for value in values)]


def judged(rule: OwnRule, batch: pa.RecordBatch) -> list[str | None]:
    """Of each row "" where it passes, an excerpt of the value where it does not, and None where it is not judged.

    A value that is missing is judged by `present` alone. Excerpts are free of personal data.
    """
    values = _column(batch, rule.column)
    asked = pa.array([True] * len(batch)) if rule.present else values.is_valid()
    for column, value in (rule.where or {}).items():
        asked = pc.and_(asked, pc.fill_null(pc.equal(batch[column], value), False))
    passes = pc.fill_null(_passes(rule, values), False)
    found: list[str | None] = []
    broken = 0
    for place, (is_asked, is_passed) in enumerate(zip(asked.to_pylist(), passes.to_pylist(), strict=True)):
        if not is_asked or is_passed:
            found.append("" if is_asked else None)
            continue
        broken += 1
        found.append(_excerpt(rule, values[place].as_py()) if broken <= EXCERPTS else "…")
    return found


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if not name.startswith(INPUTS):
        return batch[name]
    return pa.array([_input(inputs, name.removeprefix(INPUTS)) for inputs in batch["inputs"].to_pylist()], pa.string())


def _input(encoded: str | None, name: str) -> str | None:
    """An input of an example; None also where the inputs cannot be read, which another rule says."""
    try:
        value = json.loads(encoded or "{}")[name]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _passes(rule: OwnRule, values: pa.Array) -> pa.Array:
    if rule.present:
        return pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0)
    if rule.matches is not None:
        return pc.match_substring_regex(values, rule.matches)
    if rule.excludes is not None:
        return pc.invert(pc.match_substring_regex(values, rule.excludes))
    if rule.one_of is not None:
        return pc.is_in(values, value_set=pa.array(rule.one_of))
    if rule.min_value is None and rule.max_value is None:
        return _between(pc.utf8_length(values), rule.min_characters, rule.max_characters)
    return _between(pa.array(map(_number, values.to_pylist()), pa.float64()), rule.min_value, rule.max_value)


def _between(numbers: pa.Array, low: float | None, high: float | None) -> pa.Array:
    """Whether numbers are within limits; null where one is missing."""
    within = numbers.is_valid()
    if low is not None:
        within = pc.and_(within, pc.greater_equal(numbers, low))
    if high is not None:
        within = pc.and_(within, pc.less_equal(numbers, high))
    return within


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _excerpt(rule: OwnRule, value: str | None) -> str:
    """What shows that a value breaks a rule, in one line; personal data are masked before it is cut."""
    if value is None:
        return "missing"
    text = " ".join(mask(value).text.split())
    found = re2.search(rule.excludes, text) if rule.excludes is not None else None
    start = max(0, found.start() - BEFORE) if found else 0
    before, after = "…" if start else "", "…" if len(text) > start + SHOWN else ""
    return f"“{before}{text[start : start + SHOWN]}{after}”"
