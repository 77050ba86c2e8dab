"""The rules for the tables, as Great Expectations suites over the measures of their rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
from great_expectations.expectations import Expectation

from components.data.settings import OwnRule, Validate
from components.data.tables.records import SPLITS
from components.data.validation.measures import BROKEN, rule_column

Labels = Mapping[str, tuple[str, ...]]
"""The labels of each known task; none where its answers are free text, or its labels those of the data."""

EVERY_SPLIT = "every split has rows"
ADVICE = {  # what to do about a rule that fails, where it does not say so itself
    EVERY_SPLIT: (
        "give more rows or raise prepare.splits; a few long documents are split by their parts with "
        "prepare.splits.unit: part and a smaller prepare.documents.max_characters; where all texts are nearly alike, "
        "prepare.duplicates: null does not keep them in one split"
    )
}

PASSES = "passes: "  # begins the column of a rule of the user that limits the share of rows from above
OWN = (BROKEN, PASSES)
SEVERITIES = {"critical": "blocking", "warning": "warning"}  # Great Expectations' word -> ours


def rules(stage: str, table: str, settings: Validate, tasks: Labels, licenses: tuple[str, ...]) -> list[Expectation]:
    """The rules for a table, `documents` or `examples`, at a stage, `raw` or `prepared`."""
    common = [*_rows(licenses), *_text(table, settings), *_contents(stage, settings)]
    if stage == "prepared":
        common += _splits()
    common += [_own(rule) for rule in settings.rules or () if (rule.data, rule.table) == (stage, table)]
    return common + (_documents(settings) if table == "documents" else _examples(settings, tasks))


def add_columns(frames: dict[str, pd.DataFrame], settings: Validate, tasks: Labels) -> None:
    """Add the columns that the rules need too: each language's share of the text, and labels with their tasks."""
    if (documents := frames.get("documents")) is not None:
        tags = documents["language"].fillna("")
        for language in settings.min_language_share:
            is_language = (tags == language) | tags.str.startswith(f"{language}-")  # `zh` is `zh-Hans`, too
            of_language = documents["bytes"].where(is_language, 0)
            documents[_share_column(language)] = of_language / documents["bytes"].sum()
    if (examples := frames.get("examples")) is not None:
        labelled = examples["task"].isin([task for task, labels in tasks.items() if labels])
        examples["label"] = (examples["task"] + ": " + examples["target"]).where(labelled)


def add_shares(frames: dict[str, pd.DataFrame], rules: Sequence[OwnRule]) -> None:
    """Add, for each rule of the user that limits the share of rows from above, which of them pass it."""
    for rule in rules:
        if rule.max_share is not None and rule.table in frames:
            judged = frames[rule.table][rule_column(rule)]
            frames[rule.table][_passes_column(rule)] = np.where(judged.isna(), np.nan, judged == "")


def _passes_column(rule: OwnRule) -> str:
    return f"{PASSES}{rule.name}"


def _own(rule: OwnRule) -> Expectation:
    """A rule of the user about each row or, where it has an upper limit, about the share of those that pass."""
    make = _blocking if rule.severity == "block" else _warning
    if rule.max_share is None:
        once = {
            "column": rule_column(rule),
            "value_set": [""],
            "mostly": 1.0 if rule.min_share is None else rule.min_share,
        }
        return make(rule.name, gxe.ExpectColumnValuesToBeInSet, **once)
    limits = {"min_value": rule.min_share, "max_value": rule.max_share}
    return make(rule.name, gxe.ExpectColumnMeanToBeBetween, column=_passes_column(rule), **limits)


def _share_column(language: str) -> str:
    return f"share_of_{language}"


def _rows(licenses: tuple[str, ...]) -> list[Expectation]:
    present = [
        _blocking(f"{column} is present", gxe.ExpectColumnValuesToNotBeNull, column=column)
        for column in ("id", "source", "license")
    ]
    return [
        *present,
        _blocking("id is unique", gxe.ExpectColumnValuesToBeUnique, column="id"),
        _blocking("license is accepted", gxe.ExpectColumnValuesToBeInSet, column="license", value_set=[*licenses]),
    ]


def _text(table: str, settings: Validate) -> list[Expectation]:
    """Documents may have any length, since `prepare` divides the long ones."""
    name, limits = "text is not empty", {"min_value": 1}
    if table == "examples":
        name, limits = "text is not empty nor too long", {"min_value": 1, "max_value": settings.max_characters}
    return [
        _blocking("text is present", gxe.ExpectColumnValuesToNotBeNull, column="characters"),
        _blocking(name, gxe.ExpectColumnValuesToBeBetween, column="characters", **limits),
    ]


def _contents(stage: str, settings: Validate) -> list[Expectation]:
    once = {"column": "copies", "value_set": [1]}
    if stage == "raw":
        share = 1 - settings.max_duplicates
        return [_warning("few rows are duplicates", gxe.ExpectColumnValuesToBeInSet, mostly=share, **once)]
    return [_blocking("no row is a duplicate", gxe.ExpectColumnValuesToBeInSet, **once)]


def _splits() -> list[Expectation]:
    return [
        _blocking(EVERY_SPLIT, gxe.ExpectColumnDistinctValuesToEqualSet, column="split", value_set=[*SPLITS]),
        _blocking("no text is in two splits", gxe.ExpectColumnValuesToBeInSet, column="splits_of_text", value_set=[1]),
        _blocking(
            "no text is near one of another split",
            gxe.ExpectColumnValuesToBeInSet,
            column="similarity_elsewhere",
            value_set=[0],
        ),
        _blocking("no e-mail address is left", gxe.ExpectColumnValuesToBeInSet, column="emails", value_set=[0]),
    ]


def _documents(settings: Validate) -> list[Expectation]:
    minimum = settings.min_rows_per_source
    shares = [
        _warning(
            f"enough of the text is {language}",
            gxe.ExpectColumnSumToBeBetween,
            column=_share_column(language),
            min_value=share,
        )
        for language, share in settings.min_language_share.items()
    ]
    return [
        _blocking(
            "every source has enough rows", gxe.ExpectColumnValuesToBeBetween, column="rows_of_group", min_value=minimum
        ),
        *shares,
    ]


def _examples(settings: Validate, tasks: Labels) -> list[Expectation]:
    minimum = settings.min_rows_per_task
    labels = [f"{task}: {label}" for task, labels in tasks.items() for label in labels]
    return [
        _blocking("task is known", gxe.ExpectColumnValuesToBeInSet, column="task", value_set=[*tasks]),
        _blocking(
            "every task has enough rows", gxe.ExpectColumnValuesToBeBetween, column="rows_of_group", min_value=minimum
        ),
        _blocking("inputs are readable", gxe.ExpectColumnValuesToBeInSet, column="inputs_problem", value_set=[""]),
        _blocking("target is present", gxe.ExpectColumnValuesToNotBeNull, column="target_characters"),
        _blocking("target is not empty", gxe.ExpectColumnValuesToBeBetween, column="target_characters", min_value=1),
        _blocking("label is one of the task's", gxe.ExpectColumnValuesToBeInSet, column="label", value_set=labels),
    ]


def _blocking(name: str, kind: type[Expectation], **arguments: Any) -> Expectation:
    return kind(severity="critical", meta={"name": name}, **arguments)


def _warning(name: str, kind: type[Expectation], **arguments: Any) -> Expectation:
    return kind(severity="warning", meta={"name": name}, **arguments)
