"""What form the rows of a file have, by the names of their columns and the shapes of their values. Pure.

The result is what stands in the entry of a source: the section, and the columns in it. Rules are tried from the form
that can hardly be anything else (turns, preferences, tags) to the one that any text has (documents).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.data.forms.conversation import TURN_KEYS
from components.data.sources.datafile import RawRow
from components.data.sources.rows import is_list

Form = Literal[
    "documents",
    "classification",
    "question answering",
    "translation",
    "prompt and completion",
    "instruction",
    "messages",
    "preference",
    "conll",
    "spans",
]
MAX_LABELS = 50  # different answers, beyond which they are taken for free text
MAX_LABEL_CHARACTERS = 60
MAX_TEXTS = 3  # columns that a label may be of, such as a title and a description

TEXT = ("text", "content", "body", "sentence", "review", "sms", "message", "article", "document", "pages")
LABEL = ("label", "labels", "category", "class", "class index", "sentiment", "topic", "coarse_label", "target", "tag")
QUESTION = ("question", "query")
CONTEXT = ("context", "passage", "paragraph", "contexts")
ANSWER = ("answer", "answers", "final_answer")
INSTRUCTION = ("instruction",)
INPUT = ("input", "context")
OUTPUT = ("output", "response", "completion", "answer")
PROMPT = ("prompt", "question", "query")
COMPLETION = ("completion", "response", "answer", "output")
MESSAGES = ("messages", "conversations", "conversation", "dialogue", "turns")
TOKENS = ("tokens", "words", "token")
TAGS = ("ner_tags", "tags", "ner", "labels", "entities")
SPANS = ("spans", "entities", "label", "labels")


@dataclass(frozen=True)
class Recognised:
    """The form of rows: the section of a source and its columns, a task's name apart, as they stand in the catalogue.

    `labels` are the different answers of a classification, in the order of their names.
    """

    form: Form
    section: str
    columns: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())  # what somebody has to decide or add


@dataclass(frozen=True)
class Unclear:
    """Why the form is not clear, and what to say in the entry of the source."""

    problem: str


def recognise(rows: Sequence[RawRow]) -> Recognised | Unclear:
    """The form of the first rows of a file; some hundred are enough.

    Labels are told from free text by how few they are, so that of few rows a classification may look like pairs.
    """
    if not rows:
        return Unclear("there is no row")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    for name, values in columns.items():
        if name in values:  # such as `ham`, of which the column is full
            return Unclear(
                f"the file seems to have no header, as its first row has `{name}`, and so have others in that column: "
                "name the columns, such as --columns label,text"
            )
    table = _Table(columns, len(rows))
    return next((found for rule in RULES if (found := rule(table))), None) or Unclear(
        f"the columns {', '.join(names)} fit no known form: name them under the section that fits, see docs/add-data.md"
    )


@dataclass(frozen=True)
class _Table:
    """The values of each column that are there, and the number of rows."""

    columns: Mapping[str, Sequence[object]]
    rows: int

    def first(self, names: Sequence[str], fits: Callable[[object], bool]) -> str | None:
        """The first of some columns, whatever its case, with values that all fit."""
        known = {name.lower(): name for name in self.columns}
        found = (known[name] for name in names if name in known)
        return next((name for name in found if self.all(name, fits)), None)

    def all(self, name: str, fits: Callable[[object], bool]) -> bool:
        """Whether there are values, and all fit."""
        return bool(self.columns[name]) and all(map(fits, self.columns[name]))

    def where(self, fits: Callable[[object], bool]) -> list[str]:
        """The columns with values that all fit."""
        return [name for name in self.columns if self.all(name, fits)]

    def labels(self, name: str) -> tuple[str, ...]:
        """The different values, if they look like labels: short, and far fewer than the rows."""
        values = [str(value).lower() if isinstance(value, bool) else str(value) for value in self.columns[name]]
        found = sorted(set(values))
        few = 2 <= len(found) <= min(MAX_LABELS, max(2, self.rows // 2))
        return tuple(found) if few and all(len(label) <= MAX_LABEL_CHARACTERS for label in found) else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bool | int)


def _is_turns(value: object) -> bool:
    return is_list(value) and bool(value) and all(_is_turn(turn) for turn in value)


def _is_turn(value: object) -> bool:
    return isinstance(value, Mapping) and any(set(keys) <= set(value) for keys in TURN_KEYS)


def _is_answer(value: object) -> bool:
    return _is_text(value) or _is_turns(value)


def _is_tokens(value: object) -> bool:
    return is_list(value) and all(isinstance(token, str) for token in value)


def _is_tags(value: object) -> bool:
    return is_list(value) and all(isinstance(tag, str | int) for tag in value)


def _is_spans(value: object) -> bool:
    return is_list(value) and all(
        (isinstance(span, Mapping) and {"start", "end", "label"} <= set(span))
        or (is_list(span) and [type(part) for part in span] == [int, int, str])
        for span in value
    )


def _is_pages(value: object) -> bool:
    return _is_text(value) or _is_tokens(value)


def _preference(table: _Table) -> Recognised | Unclear | None:
    chosen, rejected = (table.first((name,), _is_answer) for name in ("chosen", "rejected"))
    if not chosen or not rejected:
        return None
    prompt = table.first(PROMPT, _is_answer)
    columns = {"chosen": chosen, "rejected": rejected}
    if table.all(chosen, lambda value: _is_turns(value) and len(value) > 1):  # type: ignore[arg-type]  # turns have a length
        return Recognised("preference", "preferences", columns)
    if prompt is None:
        return Unclear(f"`{chosen}` and `{rejected}` have no prompt beside them: name its column under `prompt`")
    return Recognised("preference", "preferences", {"prompt": prompt, **columns})


def _messages(table: _Table) -> Recognised | Unclear | None:
    found = [name for name in table.where(_is_turns) if name not in ("chosen", "rejected")]
    if not found:
        return None
    named = table.first(MESSAGES, _is_turns)
    if named is None and len(found) > 1:
        return Unclear(f"the columns {' and '.join(found)} both have turns: name one under conversations.messages")
    system = table.first(("system", "system_prompt"), _is_text)
    return Recognised(
        "messages", "conversations", {"messages": named or found[0]} | ({"system": system} if system else {})
    )


def _conll(table: _Table) -> Recognised | Unclear | None:
    tokens = table.first(TOKENS, _is_tokens) or ("1" if "1" in table.columns and table.all("1", _is_tokens) else None)
    if tokens is None:
        return None
    others = [name for name in table.where(_is_tags) if name != tokens and _fits_tokens(table, name, tokens)]
    tags = table.first(TAGS, _is_tags) or next((name for name in reversed(others) if _has_tags(table, name)), None)
    if tags is None:
        found = ", ".join(others) or "no column"
        return Unclear(
            f"`{tokens}` has tokens, but it is not clear which column has their tags ({found}): name it under tags.tags"
        )
    if table.all(tags, lambda value: is_list(value) and all(isinstance(tag, int) for tag in value)):
        note = f"`{tags}` has numbers: --labels 0=O,1=B-PER,2=I-PER and so on says which tags they are"
        return Recognised("conll", "tags", {"tokens": tokens, "tags": tags}, notes=(note,))
    return Recognised("conll", "tags", {"tokens": tokens, "tags": tags})


def _fits_tokens(table: _Table, name: str, tokens: str) -> bool:
    pairs = zip(table.columns[name], table.columns[tokens], strict=False)
    return all(len(tags) == len(words) for tags, words in pairs)  # type: ignore[arg-type]  # both are lists


def _has_tags(table: _Table, name: str) -> bool:
    """Whether some of the tags are O, which those of parts of speech are not."""
    return any(tag == "O" for tags in table.columns[name] for tag in tags)  # type: ignore[attr-defined]


def _spans(table: _Table) -> Recognised | Unclear | None:
    text, spans = table.first(TEXT, _is_text), table.first(SPANS, _is_spans)
    return Recognised("spans", "spans", {"text": text, "spans": spans}) if text and spans else None


def _questions(table: _Table) -> Recognised | Unclear | None:
    context, question = table.first(CONTEXT, _is_text), table.first(QUESTION, _is_text)
    if not context or not question:
        return None
    nested = table.first(ANSWER, lambda value: isinstance(value, Mapping) and "text" in value)
    answer = f"{nested}.text" if nested else table.first(ANSWER, lambda value: _is_text(value) or _is_tokens(value))
    if answer is None:
        return Unclear(f"`{context}` and `{question}` have no answer beside them: name its column under `target`")
    return Recognised(
        "question answering", "examples", {"inputs": {"context": context, "question": question}, "target": answer}
    )


def _instruction(table: _Table) -> Recognised | Unclear | None:
    instruction, output = table.first(INSTRUCTION, _is_text), table.first(OUTPUT, _is_text)
    if not instruction or not output:
        return None
    given = table.first(INPUT, _is_text)
    optional = {"optional": ["input"]} if given else {}
    inputs = {"instruction": instruction} | ({"input": given} if given else {})
    return Recognised("instruction", "examples", {"inputs": inputs, **optional, "target": output})


def _translation(table: _Table) -> Recognised | Unclear | None:
    nested = table.first(("translation",), lambda value: isinstance(value, Mapping) and len(value) == 2)
    if nested:
        pair = table.columns[nested][0]
        assert isinstance(pair, Mapping)
        names = [f"{nested}.{language}" for language in pair]
    else:
        names = [name for name in table.where(_is_text) if len(name) == 2 and name.isalpha() and name.islower()]
    if len(names) != 2:
        return None
    note = f"from {names[0]} to {names[1]}: swap text and target for the other direction"
    return Recognised("translation", "examples", {"inputs": {"text": names[0]}, "target": names[1]}, notes=(note,))


def _pairs(table: _Table) -> Recognised | Unclear | None:
    prompt, completion = table.first(PROMPT, _is_text), table.first(COMPLETION, _is_text)
    if not prompt or not completion:
        return None
    return Recognised("prompt and completion", "examples", {"inputs": {"prompt": prompt}, "target": completion})


def _classification(table: _Table) -> Recognised | Unclear | None:
    scalars = [name for name in table.where(_is_scalar) if table.labels(name)]
    text = table.first(TEXT, _is_text)
    label = table.first([name for name in LABEL if name != text], _is_scalar)
    if label is None and len(table.columns) == 2 and len(scalars) == 1:
        label = scalars[0]
    texts = [text] if text else [name for name in table.where(_is_text) if name not in scalars]
    if label is None or label in texts or not 1 <= len(texts) <= MAX_TEXTS:
        return None
    labels = table.labels(label)
    if not labels:
        return Unclear(
            f"`{label}` has too many or too long values to be a label of `{texts[0]}`: name both under examples, as "
            "input and target, or the text alone under documents"
        )
    inputs = {"text": texts[0]} if len(texts) == 1 else {_input(name): name for name in texts}
    names = ",".join(f"{number}=NAME" for number in labels) if all(map(str.isdigit, labels)) else ""
    note = (f"`{label}` has numbers: --labels {names} names them",) if names else ()
    return Recognised("classification", "examples", {"inputs": inputs, "target": label}, labels, note)


def _input(column: str) -> str:
    """The name of a column as that of an input: templates have letters, digits and underscores."""
    return re.sub(r"\W", "_", column.lower())


def _documents(table: _Table) -> Recognised | Unclear | None:
    text = table.first(TEXT, _is_pages)
    if text is None:
        texts = table.where(_is_text)
        text = texts[0] if len(texts) == 1 else None
    if text is None:
        return None
    language = table.first(("language", "lang"), lambda value: isinstance(value, str) and len(value) == 2)
    return Recognised("documents", "documents", {"text": text} | ({"language": language} if language else {}))


RULES: tuple[Callable[[_Table], Recognised | Unclear | None], ...] = (
    _preference,
    _messages,
    _conll,
    _spans,
    _questions,
    _instruction,
    _translation,
    _pairs,
    _classification,
    _documents,
)
