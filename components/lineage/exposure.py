"""Which training runs saw a document or an example: those in the tree and those of all registered versions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from components.core import id_index
from components.core.errors import BadData, BadSettings
from components.lineage import objects
from components.lineage.objects import Cache
from components.lineage.snapshot import Kept
from components.lineage.tokens import EncodedDocument, TokenIndex
from components.lineage.trainings import RecordedTraining
from components.registry import store
from components.registry.store import Version

TOKENS = "data/tokens"


@dataclass(frozen=True)
class Owned:
    """A training run and its owners: versions as MODEL@NUMBER, and whether it is that of the tree."""

    training: RecordedTraining
    versions: list[str] = field(default_factory=list)
    in_tree: bool = False


@dataclass(frozen=True)
class Sighting:
    """The steps of a training run that read it, and those of them that were skipped and changed no weight."""

    stage: str
    key: str
    versions: tuple[str, ...]
    in_tree: bool
    steps: tuple[int, ...]
    skipped: tuple[int, ...]
    of: int
    problem: str = ""  # why the steps are unknown


@dataclass(frozen=True)
class Known:
    """Training runs whose data order is known, and the reason for each version without one."""

    trainings: list[Owned]
    silent: list[Sighting]


@dataclass(frozen=True)
class Found:
    """A document or an example: where it is stored, and which training runs saw it."""

    id: str
    kind: str
    where: str
    sightings: tuple[Sighting, ...]


def in_tree(root: Path) -> list[RecordedTraining]:
    """The training runs whose models are in the tree."""
    folders = [root / "models/pretrained", *sorted((root / "models/finetuned").glob("*"))]
    tokens = TokenIndex((root / TOKENS).joinpath)
    found = []
    for path in (folder / "training.json" for folder in folders):
        if path.exists():
            stage = "pretrain" if path.parent.name == "pretrained" else f"finetune@{path.parent.name}"
            found.append(
                RecordedTraining(stage, json.loads(path.read_text()), tokens, (root / _reports(stage)).joinpath)
            )
    return found


def of_version(root: Path, version: Version) -> list[RecordedTraining]:
    """The training runs of a version. Their indexes are in DVC's cache, or in the tree where it has the same ones."""
    kept = Kept(store.kept(version))
    file = partial(_locate, root, kept)
    tokens = TokenIndex(partial(file, TOKENS))
    return [
        RecordedTraining(stage, facts, tokens, partial(file, _reports(stage)))
        for stage, facts in kept.trainings().items()
    ]


def known(root: Path, models: Sequence[str]) -> Known:
    """All training runs of these models, each once, with their owners: also versions that went on from it."""
    found = {one.key: Owned(one, in_tree=True) for one in in_tree(root)}
    silent, made = [], dict[tuple[str, int, str], RecordedTraining]()
    for version in (version for model in models for version in store.versions(model)):
        name = f"{version.name}@{version.number}"
        try:
            trainings = of_version(root, version)
        except BadData as error:
            silent.append(Sighting("", "", (name,), False, (), (), 0, str(error)))
            continue
        for one in trainings:
            made[version.name, version.number, one.stage] = one
            for earlier in (one, *_before(one, version.name, made)):
                found.setdefault(earlier.key, Owned(earlier)).versions.append(name)
    return Known(list(found.values()), silent)


def find(known: Known, beginning: str) -> Found:
    """The training runs that saw the document or example whose id begins with `beginning`.

    Raises `BadData` when no training run knows it, `BadSettings` when several ids begin so.
    """
    sightings = [_sighting(one, beginning) for one in known.trainings]
    identity, kind, where = _describe(known.trainings, beginning, sightings)
    return Found(identity, kind, where, (*sightings, *known.silent))


def training(root: Path, stage: str, version: Version | None) -> RecordedTraining:
    """The training run of a stage, of a version or else of the tree. Raises `BadSettings` when there is none."""
    found = {one.stage: one for one in (of_version(root, version) if version else in_tree(root))}
    if stage not in found:
        where = f"version {version.number}" if version else "the tree"
        raise BadSettings(f"{where} has no training {stage}; it has {', '.join(found) or 'none'}")
    return found[stage]


def _before(
    one: RecordedTraining, model: str, made: Mapping[tuple[str, int, str], RecordedTraining]
) -> Iterator[RecordedTraining]:
    """The trainings of the same stage that a training went on from, the last one first, as far as they are known."""
    while one.start is not None and (model, one.start, one.stage) in made:
        one = made[model, one.start, one.stage]
        yield one


def _sighting(known: Owned, beginning: str) -> Sighting:
    one, problem, steps = known.training, "", list[int]()
    try:
        steps = sorted({*one.steps_with_document(beginning), *one.steps_with_example(beginning)})
    except BadData as error:
        problem = str(error)
    skipped = set(one.reading.skipped_steps)
    return Sighting(
        stage=one.stage,
        key=one.key,
        versions=tuple(known.versions),
        in_tree=known.in_tree,
        steps=tuple(steps),
        skipped=tuple(step for step in steps if step in skipped),
        of=one.reading.steps,
        problem=problem,
    )


def _describe(known: list[Owned], beginning: str, sightings: list[Sighting]) -> tuple[str, str, str]:
    """The whole id, the kind, and where it is stored."""
    for one in known:
        parts: list[EncodedDocument] = []
        with suppress(BadData):  # its index is gone: another training run may have the document too
            parts = one.training.document(beginning)
        if parts:
            shared = parts[0].id if len(parts) == 1 else parts[0].id[: -id_index.PART_DIGITS]
            return shared, "document", _where(parts)
    for one, sighting in zip(known, sightings, strict=True):
        for step in sighting.steps[:1]:
            seen = next(row for row in one.training.seen(step) if row.id.startswith(beginning.lower()))
            return seen.id, "example", seen.source
    raise BadData(f"no training of the tree or of a registered version knows {beginning}")


def _where(parts: list[EncodedDocument]) -> str:
    """Where a document, or the parts of a divided one, are stored."""
    first, tokens = parts[0], sum(part.length for part in parts)
    divided = f"in {len(parts)} parts, " if len(parts) > 1 else ""
    where = f"{divided}{tokens} tokens in {TOKENS}/{first.shard}, from token {first.offset} on"
    return f"{first.source}, split {first.split}, {where}"


def _reports(stage: str) -> str:
    return f"reports/training/{stage.replace('@', '/')}"


def _locate(root: Path, kept: Kept, folder: str, name: str) -> Path:
    """The path of a file that a version was made with: in DVC's cache, or in the tree when that has the same out.

    The folder is an out, or the file itself is one. Raises `BadData` when it is gone.
    """
    file = f"{folder}/{name}"
    out = file if file in kept.outs else folder
    made = kept.outs[out]
    path = Cache(root).path(made.md5 if out == file else made.files[name])
    if path.exists():
        return path
    lock = root / objects.LOCK
    if lock.exists() and objects.outs(objects.read_lock(lock)).get(out) == made.md5 and (root / file).exists():
        return root / file
    raise BadData(f"{file} ({made.md5[:12]}) is gone from DVC's cache: `dvc fetch` in a copy of that commit gets it")
