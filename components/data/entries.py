"""The entries of a new source and its task, from the form that its rows have. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.data.recognition import Form, Recognised
from components.data.sources.datafile import RawRow
from components.data.sources.rows import Row

MANY_LABELS = 20  # more are not listed in the entry but read from the data


@dataclass(frozen=True)
class NewSource:
    """What the user decides of a new source; the rest is recognised."""

    name: str
    task: str
    license: str
    languages: tuple[str, ...]
    location: Mapping[str, Any]  # its kind, and the keys that say where its rows are
    labels: Mapping[str, str]  # names of labels or tags that are numbers in the rows


def source_entry(new: NewSource, recognised: Recognised) -> dict[str, Any]:
    """The entry for the catalogue of sources."""
    section = dict(recognised.columns)
    if new.labels:
        section["labels"] = dict(new.labels)
    if recognised.form != "documents":
        section = {"task": new.task, **section}
    return {
        "name": new.name,
        **new.location,
        "license": new.license,
        "languages": list(new.languages),
        "yields": ["documents" if recognised.form == "documents" else new.task],
        recognised.section: section,
    }


def task_entry(new: NewSource, recognised: Recognised, rows: Sequence[RawRow]) -> dict[str, Any] | None:
    """The entry for the list of tasks; None for documents, which no task reads."""
    if recognised.form == "documents":
        return None
    fields = _FIELDS[recognised.form]
    entry = {"name": new.task, **fields}
    if recognised.form == "classification":
        names = list(dict.fromkeys(new.labels.get(label, label) for label in recognised.labels))
        labels = "from data" if len(names) > MANY_LABELS else names
        return entry | _classification(recognised, rows) | {"labels": labels, **_CLASSIFIER}
    if recognised.form == "instruction":
        return entry | _instruction(recognised, rows)
    if recognised.form == "question answering" and _is_extractive(recognised, rows):
        return entry | {"extractive": True}
    return entry


_CLASSIFIER = {"metric": "accuracy", "baselines": ["tfidf_logistic_regression"]}
_ENTITIES = {
    "kind": "spans",
    "template": "{text}",
    "answer_cue": "Entities:",
    "long_field": "text",
    "metric": "entity_f1",
    "baselines": ["known_entities"],
}
_FIELDS: dict[Form, dict[str, Any]] = {
    "classification": {"kind": "text", "answer_cue": "Label:"},
    "question answering": {
        "kind": "text",
        "template": "{context}\nQuestion: {question}",
        "long_field": "context",
        "metric": "exact_match",
        "baselines": ["majority_by_question"],
    },
    "translation": {
        "kind": "text",
        "template": "{text}",
        "answer_cue": "Translation:",
        "long_field": "text",
        "metric": "chrf",
        "baselines": ["tfidf_nearest"],
    },
    "prompt and completion": {
        "kind": "text",
        "template": "{prompt}",
        "long_field": "prompt",
        "metric": "rouge_l",
        "baselines": ["tfidf_nearest"],
    },
    "instruction": {"kind": "text", "metric": "rouge_l", "baselines": ["tfidf_nearest"]},
    "messages": {"kind": "conversation", "metric": "chrf"},
    "preference": {"kind": "preference"},
    "conll": _ENTITIES,
    "spans": _ENTITIES,
}


def _classification(recognised: Recognised, rows: Sequence[RawRow]) -> dict[str, str]:
    """The template, with the field that may be cut at its end."""
    longest = _longest(recognised, rows)
    others = [name for name in recognised.columns["inputs"] if name != longest]
    return {"template": "\n".join(f"{{{name}}}" for name in (*others, longest)), "long_field": longest}


def _instruction(recognised: Recognised, rows: Sequence[RawRow]) -> dict[str, str]:
    """The template, and the field that may be cut."""
    template = "{instruction}[\n{input}]" if "input" in recognised.columns["inputs"] else "{instruction}"
    return {"template": template, "long_field": _longest(recognised, rows)}


def _longest(recognised: Recognised, rows: Sequence[RawRow]) -> str:
    """The input that is longest in some row: the one to cut."""
    columns: Mapping[str, str] = recognised.columns["inputs"]
    return max(columns, key=lambda name: max((len(str(row.get(columns[name]) or "")) for row in rows), default=0))


def _is_extractive(recognised: Recognised, rows: Sequence[RawRow]) -> bool:
    """Whether each answer stands in its passage word for word."""
    context, target = recognised.columns["inputs"]["context"], recognised.columns["target"]
    read = [Row("", "", 0, row) for row in rows]
    return all((row.label(target, {}) or "") in (row.text(context) or "") for row in read)
