"""The report page: one HTML file that loads nothing else, light or dark like the reader's system."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from components.core import recipe, templates
from components.core.files import read_json
from components.evaluation.scores import TRIVIAL
from components.reports import charts, data_summary
from components.reports.charts import Mark
from components.reports.names import words

if TYPE_CHECKING:
    from components.lineage.chain import Link

TEMPLATE = Path(__file__).with_name("report.html.j2")
STYLES = {TRIVIAL: "trivial"}  # any other baseline is a "rival"
TOKENS = "Loss, in nats per token"
ANSWERS = "Loss, in nats per target (at replay steps, of documents)"
FIGURES = {  # of the validation, whichever exists
    "bits_per_byte": "Validation, in bits per byte",
    "label_loss": "Validation, in nats per label",
}
ARCHITECTURES = {
    "decoder": "decoder",
    "encoder": "encoder",
    "encoder_decoder": "encoder-decoder",
}
READING = {
    "decoder": "and vocabularies of any size compare",
    "encoder": "given all the rest of the text: comparable among encoders only",
    "encoder_decoder": "given all the rest of the text: comparable among encoder-decoders only",
}

Scores = Mapping[str, Any]


def render(root: Path, lineage: Mapping[str, str], chain: Sequence["Link"] = (), model: str = "assistant") -> str:
    """The page about the model of a recipe in the repository at `root`, made from its reports and tables.

    `lineage` is shown unchanged; its `version` and `alias`, if given, are also shown at the top. `chain` leads from the
    registered version back to what it was made from.
    """
    reports = root / recipe.evaluation(model)
    scores, before = read_json(reports / "scores.json"), _before(root, model)
    base = read_json(before / "scores.json") if before else None
    # Documents are continued by the model that learned from them alone.
    writer = before if before and "bits_per_byte" in (base or {}) else reports
    return templates.load(TEMPLATE, words=words).render(
        scores=scores,
        base=base,
        architecture=ARCHITECTURES[scores["architecture"]],
        reading=READING[scores["architecture"]],
        lineage=lineage,
        chain=chain,
        task_chart=task_chart(scores, base) if scores["tasks"] else "",
        bits_charts=bits_charts([scores, base] if base else [scores]),
        curves={title: curves(root, name) for title, name in _trainings(root, model)},
        training={title: _facts(root / recipe.weights(name)) for title, name in _trainings(root, model)},
        samples=read_json(reports / "samples.json"),
        writer=writer.name,
        texts=[sample for sample in read_json(writer / "samples.json") if sample["task"] == "text"],
        documents=data_summary.documents(root / "data"),
        examples=data_summary.examples(root / "data"),
        splits=data_summary.SPLITS,
    )


def _trainings(root: Path, model: str) -> list[tuple[str, str]]:
    """The title of each training of ours that led to a model, and the recipe whose training it is."""
    pretraining = [("Pretraining", recipe.BASE)] if model == recipe.BASE or _is_on_ours(root, model) else []
    return pretraining if model == recipe.BASE else [*pretraining, ("Fine-tuning", model)]


def _is_on_ours(root: Path, model: str) -> bool:
    """Whether a recipe starts from the pretrained model of this repository."""
    return bool(_facts(root / recipe.weights(model))["base"]["folder"] == str(recipe.PRETRAINED))


def _before(root: Path, model: str) -> Path | None:
    """The reports about the model before fine-tuning, where it was evaluated."""
    reports = root / recipe.evaluation(recipe.BASE)
    known = model != recipe.BASE and _is_on_ours(root, model) and (reports / "scores.json").exists()
    return reports if known else None


def task_chart(scores: Scores, base: Scores | None) -> Markup:
    """Each task's score next to those of its baselines and, if it can answer, of the model before fine-tuning."""
    rows = []
    for task, score in scores["tasks"].items():
        marks = [_mark("model", scores["model"], score)]
        if base and task in base["tasks"]:
            marks.append(_mark("base", base["model"], base["tasks"][task]))
        marks += [_mark(STYLES.get(name, "rival"), words(name), figure) for name, figure in score["baselines"].items()]
        rows.append((f"{words(task)} · {words(score['metric'])}", marks))
    return charts.intervals(rows, 0.0, 1.0, digits=3)


def bits_charts(models: Sequence[Scores]) -> dict[str, Markup]:
    """Bits per byte by source and by language of the models that have them; both charts have the same axis."""
    rows = {kind: _bits_rows(models, kind) for kind in ("source", "language")}
    marks = [mark for parts in rows.values() for _, row in parts for mark in row]
    if not marks:
        return {}
    low, high = min(mark.low for mark in marks), max(mark.high for mark in marks)
    return {kind: charts.intervals(parts, low, high, digits=3) for kind, parts in rows.items()}


def curves(root: Path, model: str) -> list[tuple[str, Markup]]:
    """The curves of the training of a recipe, each with a caption."""
    folder = root / recipe.curves(model)
    caption = TOKENS if model == recipe.BASE else ANSWERS
    return [_curve(folder / "loss.csv", "loss", caption, "model"), _validation(folder / "validation.csv")]


def _bits_rows(models: Sequence[Scores], kind: str) -> list[tuple[str, list[Mark]]]:
    rows: dict[str, list[Mark]] = {}
    for style, scores in zip(("model", "base"), models, strict=False):
        bits = scores.get("bits_per_byte")
        parts = {"all": bits["all"], "by_size": bits["by_size"], **bits[kind]} if bits else {}
        for name, part in parts.items():
            rows.setdefault(words(name), []).append(_mark(style, scores["model"], part))
    return list(rows.items())


def _validation(path: Path) -> tuple[str, Markup]:
    with path.open(encoding="utf-8", newline="") as file:
        columns = csv.DictReader(file).fieldnames or ()
    column = next(name for name in FIGURES if name in columns)
    return _curve(path, column, FIGURES[column], "rival")


def _curve(path: Path, column: str, caption: str, style: str) -> tuple[str, Markup]:
    with path.open(encoding="utf-8", newline="") as file:
        points = [(float(row["step"]), float(row[column])) for row in csv.DictReader(file)]
    return caption, charts.line(points, caption, style)


def _mark(style: str, name: str, figure: Mapping[str, float]) -> Mark:
    return Mark(style, name, figure["value"], figure["low"], figure["high"])


def _facts(folder: Path) -> Any:
    return read_json(folder / "training.json")
