"""The commands `lmforge data`: add a source with its task, and see what a model reads of one."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.core.errors import BadData, BadSettings

if TYPE_CHECKING:  # what they import takes seconds
    from components.data.entries import NewSource
    from components.data.recognition import Recognised
    from components.data.settings import Ingest
    from components.data.sources.datafile import RawRow
    from components.data.survey import Survey
    from components.data.tables.records import Record

app = typer.Typer(
    help="Add a source, see what a model reads of one and what became of its rows, take rows out.",
    no_args_is_help=True,
)

LOOKED_AT = 2000  # rows that decide the form
OWN = "LicenseRef-own"
SAMPLE_CHARACTERS = 300  # of a long text
FEW_DOCUMENTS = 200  # fewer may leave a split without any
MANY = 0.05  # the share of long texts from which it is said that they are cut
PART_CHARACTERS = 4000  # of the parts into which a few long documents are divided
Pairs = Annotated[str | None, typer.Option(help="Names of labels that are numbers: 0=negative,1=positive.")]


@app.command()
def add(
    location: Annotated[
        str,
        typer.Argument(metavar="PATH|ADDRESS|hub:DATASET@REVISION", help="A file, a pattern, a folder, or a dataset."),
    ],
    name: Annotated[str | None, typer.Option(help="Of the source.", show_default="that of the file")] = None,
    task: Annotated[str | None, typer.Option(help="What the model learns from it.", show_default="the name")] = None,
    license: Annotated[str, typer.Option(help="An SPDX id, or LicenseRef-…")] = OWN,  # noqa: A002, the option's name
    language: Annotated[list[str] | None, typer.Option(help="ISO 639-1.", show_default="as identified")] = None,
    columns: Annotated[str | None, typer.Option(help="Names of columns that have none, such as label,text.")] = None,
    format: Annotated[str | None, typer.Option(help="Of the files, where their endings do not say.")] = None,  # noqa: A002
    split: Annotated[str, typer.Option(help="Of a dataset of the hub.")] = "train",
    storage: Annotated[str | None, typer.Option(help="Of an address: endpoint_url=URL,profile=NAME.")] = None,
    labels: Pairs = None,
    recipe: Annotated[str | None, typer.Option(help="The recipe that learns the task too.")] = None,
    share: Annotated[float, typer.Option(help="Of the task in that recipe's mixture.", min=0.001)] = 1.0,
    yes: Annotated[bool, typer.Option("--yes", help="Write the entries without asking.")] = False,
) -> None:
    """Recognise the form of some data, show what a model would read of it, and write the entries that add it."""
    from components.data import entries, survey
    from components.tasks import catalog as tasks

    name = name or _name(location)
    where = _location(location, _listed(columns), format, split, _pairs(storage, "--storage"))
    rows, found = _recognised(name, where)
    new = entries.NewSource(name, task or name, license, tuple(language or ["en"]), where, _pairs(labels, "--labels"))
    entry = entries.source_entry(new, found)
    records = _records(entry)
    figures = survey.survey(records)
    if not language:
        entry["languages"] = list(survey.main_languages(figures))
    task_entry = None if new.task in tasks.load() else entries.task_entry(new, found, rows)
    _print_survey(found, figures)
    _print_sample(records, task_entry, new.task)
    texts = {_catalogue(): entry} | ({tasks.PATH: task_entry} if task_entry else {})
    changes = _changes(new, found.form, figures, recipe, share)
    notes = [*(() if new.labels else found.notes), *_cut(records, found.form, recipe)]
    _print_changes(texts, changes, _advice(notes, found.form, new.task, recipe))
    if not yes and not typer.confirm("Write this?"):
        raise typer.Abort
    _write(texts, changes)
    print("written; `lmforge run` trains with it" if recipe or found.form == "documents" else "written")


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its name in the catalogue.")],
    number: Annotated[int, typer.Argument(metavar="N", help="The how manieth of its rows.", min=1)] = 1,
    recipe: Annotated[str, typer.Option(help="The recipe whose model reads it.")] = "assistant",
) -> None:
    """Print a row of a source as the model of a recipe reads it: each token, and what is learned of it."""
    from components.core import params
    from components.data.sources import catalog
    from components.data.sources.digests import digests
    from components.data.tables.records import Rejected
    from flows.cli import reading

    sources = {found.name: found for found in catalog.load(_catalogue())}
    if source not in sources:
        raise BadSettings(f"{_catalogue()} has no source `{source}`: {params.suggest(source, list(sources))}")
    rows = sources[source].records(digests(sources[source].local_files()))
    record = next(itertools.islice(rows, number - 1, None), None)
    if record is None:
        raise BadData(f"the source `{source}` has fewer than {number} rows")
    if isinstance(record, Rejected):
        raise BadData(f"the row is rejected: {record}")
    for token in reading.tokens(source, record, recipe):
        print(f"{token.id:>7}  {token.text!r:<30} {token.learned}".rstrip())


@app.command()
def takedown(
    reason: Annotated[str, typer.Option(help="Why, for those who read the list.")],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Of documents or examples: all 64 digits.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The source of a row whose id is not at hand.")] = None,
    key: Annotated[str | None, typer.Option(help="The key of that row, as its origin has it behind the #.")] = None,
    text: Annotated[
        Path | None, typer.Option(help="A file with a text that has to leave.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """List rows or a text that have to leave the training data from the next run on, with all rows of equal texts."""
    from components.data import takedown as list_of
    from flows.cli import taking_down

    found = taking_down.entries(ids or [], source, key, text, reason)
    list_of.add(found)
    print(f"{list_of.PATH} has {len(found)} more; `lmforge run` leaves them out")
    for entry in found:
        if entry.row:
            print(f"lmforge lineage document {entry.row}   says which versions saw it")


@app.command()
def page() -> None:
    """Write reports/data.html: what became of the rows of the sources, as far as the stages have come."""
    from components.core.files import write_atomically
    from components.reports import data_page
    from flows.retraining import source_rules
    from flows.services import pages

    write_atomically(pages.DATA, data_page.render(Path.cwd(), source_rules.known()))
    print(f"{pages.DATA} is the page")


def _name(location: str) -> str:
    """A name for the source: that of the file, folder or dataset, in small letters, digits and underscores."""
    stem = location.removeprefix("hub:").partition("@")[0].rstrip("/").rpartition("/")[2].partition(".")[0]
    name = "".join(letter if letter.isalnum() else "_" for letter in stem.lower()).strip("_")
    if not name:
        raise BadSettings(f"no name can be made of {location}: give one with --name")
    return name


def _location(
    location: str,
    columns: list[str] | None,
    format: str | None,  # noqa: A002, the option's name
    split: str,
    storage: dict[str, str],
) -> dict[str, Any]:
    """The keys of a source that say where its rows are."""
    if location.startswith("hub:"):
        dataset, _, revision = location.removeprefix("hub:").partition("@")
        if not revision:
            raise BadSettings(f"{location} names no commit: pin it as hub:{dataset}@REVISION")
        return {"kind": "hub", "dataset": dataset, "revision": revision, "split": split}
    optional = {"columns": columns, "format": format, "storage_options": storage or None}
    files: dict[str, Any] = {"kind": "files", "files": _files(location, storage)}
    return files | {key: value for key, value in optional.items() if value is not None}


def _files(location: str, storage: dict[str, str]) -> list[dict[str, str]]:
    """A path, a pattern for a folder, or the files at an address, each with what pins it."""
    from components.data.sources import remote

    if "://" in location:
        return remote.pinned(location, storage, "lmforge data add")
    return [{"path": f"{location.rstrip('/')}/**/*.*" if Path(location).is_dir() else location}]


def _recognised(name: str, where: Mapping[str, Any]) -> "tuple[list[RawRow], Recognised]":
    """The first rows, and their form. Raises `BadSettings` when it is not clear."""
    from components.data import recognition
    from components.data.sources import catalog
    from components.data.sources.datafile import Unreadable
    from components.data.sources.digests import digests
    from components.data.sources.files import FilesSource
    from components.data.sources.hub import HubSource

    probe = {"name": name, "license": OWN, "languages": ["en"], "yields": ["documents"], **where}
    source = catalog.parse(probe, _catalogue())
    assert isinstance(source, FilesSource | HubSource), "the kinds that a location can be of"
    rows = list(itertools.islice(source.rows(digests(source.local_files())), LOOKED_AT))
    readable = [row.values for row in rows if not isinstance(row.values, Unreadable)]
    if rows and not readable:
        raise BadData(f"{name}: no row can be read: {rows[0].place}: {rows[0].reason}")
    found = recognition.recognise(readable)
    if isinstance(found, recognition.Unclear):
        raise BadSettings(f"{name}: {found.problem}")
    return readable, found


def _records(entry: Mapping[str, Any]) -> "list[Record]":
    """All records of the source as the entry has it; bad rows are told. Raises `BadData` when there is none."""
    from components.data.sources import catalog
    from components.data.sources.digests import digests
    from components.data.tables.records import Rejected

    source = catalog.parse(entry, _catalogue())
    made = list(source.records(digests(source.local_files())))
    records = [record for record in made if not isinstance(record, Rejected)]
    bad = [record for record in made if isinstance(record, Rejected)]
    if bad:
        print(f"bad rows    {len(bad):,}, such as {bad[0]}")
    if not records:
        raise BadData(f"{source.where} has no rows")
    return records


def _catalogue() -> Path:
    from components.core import params
    from components.data.settings import Ingest

    return Path(params.read("ingest", Ingest).sources)


def _print_survey(found: "Recognised", figures: "Survey") -> None:
    columns = ", ".join(f"{name}: {value}" for name, value in found.columns.items())
    print(f"form        {found.form} ({columns})")
    median, longest = figures.characters
    print(f"rows        {figures.rows:,}; characters of a text: {median:,} in the middle, {longest:,} at most")
    print("languages   " + ", ".join(f"{code} {share:.0%}" for code, share in list(figures.languages.items())[:5]))
    if found.labels:
        print("labels      " + ", ".join(f"{label} {count:,}" for label, count in figures.targets.most_common()))


def _print_sample(records: "list[Record]", entry: Mapping[str, Any] | None, name: str) -> None:
    """What a model would read of the first record, with a mark at what it learns."""
    from components.data.tables.records import MESSAGES, Document
    from components.tasks import catalog as tasks

    first = records[0]
    print("\na model reads, and learns what is marked with ▸")
    if isinstance(first, Document):
        print(f"▸ {_short(first.text or '')}")
        return
    task = tasks.parse(entry, tasks.PATH) if entry else tasks.load()[name]
    if task.kind == "preference":
        print("  nothing yet: preferences are kept for a later training")
        return
    inputs = {
        field: (value or "") if field == MESSAGES else _short(value or "") for field, value in first.inputs.items()
    }
    for turn in task.turns(inputs):
        mark = "▸" if task.kind == "conversation" and turn["role"] == "assistant" else " "
        print(f"{mark} {turn['role']}: {turn['content']}".replace("\n", "\n    "))
    print(f"▸ assistant: {_short(first.target or '')}")


def _print_changes(texts: Mapping[Path, Mapping[str, Any]], changes: Mapping[str, Any], advice: Iterable[str]) -> None:
    """What would be written: an entry for each file, and the settings; and what is left to do."""
    from flows.cli import additions

    for path, entry in texts.items():
        print(f"\n{path} gets\n{additions.shown(entry)}")
    print("\nparams.yaml gets" if changes else "\nparams.yaml stays as it is")
    for setting, value in changes.items():
        print(f"  {setting}: {'also ' + ', '.join(value) if isinstance(value, list) else value}")
    for line in advice:
        print(f"note: {line}")


def _write(texts: Mapping[Path, Mapping[str, Any]], changes: Mapping[str, Any]) -> None:
    """Write an entry into each file, and the settings; all files or none."""
    from components.core import params
    from flows.cli import additions

    written = {path: additions.with_entry(path, entry) for path, entry in texts.items()}
    additions.write(written | {params.PARAMS: additions.with_settings(changes)})


def _short(text: str) -> str:
    return text if len(text) <= SAMPLE_CHARACTERS else f"{text[:SAMPLE_CHARACTERS]}…"


def _changes(new: "NewSource", form: str, figures: "Survey", recipe: str | None, share: float) -> dict[str, Any]:
    """The settings that let the source in, by dotted names, with the values that they get."""
    from components.core import params
    from components.data.settings import Ingest, Validate

    documents = form == "documents"
    limits, ingest = params.read("validate", Validate), params.read("ingest", Ingest)
    wanted = {"licenses": new.license, "take": "documents" if documents else new.task}
    changes: dict[str, Any] = {
        f"ingest.{key}": [value] for key, value in wanted.items() if value not in getattr(ingest, key)
    }
    least = "min_rows_per_source" if documents else "min_rows_per_task"
    if figures.rows < getattr(limits, least):
        changes[f"validate.{least}"] = figures.rows
    if documents and figures.rows < FEW_DOCUMENTS and not _has_documents(ingest):
        # A few long documents would leave a split without any: their parts are divided among the splits.
        changes |= {"prepare.splits.unit": "part", "prepare.documents.max_characters": PART_CHARACTERS}
    if recipe is not None and not documents:
        known = params.load(params.PARAMS).get("finetune") or {}
        if recipe not in known:
            raise BadSettings(f"params.yaml has no recipe `{recipe}`; {params.suggest(recipe, list(known))}")
        changes[f"finetune.{recipe}.tasks.{new.task}"] = share
    return changes


def _has_documents(ingest: "Ingest") -> bool:
    """Whether a source that is read yields documents already."""
    from components.data import listing

    catalogue = Path(ingest.sources)
    return catalogue.exists() and any("documents" in source.yields for source in listing.read_by(ingest))


def _advice(notes: Sequence[str], form: str, task: str, recipe: str | None) -> Iterator[str]:
    """What somebody has yet to decide or to do."""
    yield from notes
    if recipe is None and form not in ("documents", "preference"):
        yield f"no recipe learns it yet: --recipe NAME, or `{task}: 1.0` under finetune.NAME.tasks of params.yaml"


def _cut(records: "list[Record]", form: str, recipe: str | None) -> Iterator[str]:
    """That a recipe reads long texts in part, where many are."""
    from components.core import params
    from components.data import survey

    if recipe is None or form in ("documents", "preference"):
        return
    tokens = params.load(params.PARAMS)["finetune"][recipe]["max_prompt_tokens"]
    if (share := survey.share_longer(records, tokens)) > MANY:
        limit = f"finetune.{recipe}.max_prompt_tokens"
        yield f"about {share:.0%} of the texts have more than {tokens} tokens ({limit}), and are read in part"


def _listed(names: str | None) -> list[str] | None:
    return names.split(",") if names is not None else None


def _pairs(text: str | None, option: str) -> dict[str, str]:
    """`0=negative,1=positive` as a mapping."""
    pairs = [pair.partition("=") for pair in (text or "").split(",") if pair]
    if any(not equals for _, equals, _ in pairs):
        raise BadSettings(f"{option} {text}: write it as NAME=VALUE,NAME=VALUE")
    return {name.strip(): value.strip() for name, _, value in pairs}
