"""Pins the version that a training goes on from: the champion, for data that it has not read.

The same data lead to the same start, so that a finished run stays fresh after its own model became the champion.
docs/decisions.md, "A start is pinned, and a stage puts it in place"
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.core import params, start
from components.core.errors import BadData, BadSettings
from components.core.start import Start
from components.lineage.snapshot import SOURCES, START, Kept, catalogue
from components.registry import store
from components.registry.store import Version
from components.tokenizer_training.settings import TrainTokenizer
from components.training.settings import CHAMPION, Pretrain

TOKENIZER_FILES = ("tokenizer/", "read/manifest.json")  # what is needed of a version to keep its tokenizer
READ_FILES = ("lookup.npy", "manifest.json")  # of data/tokens: the ids of the documents, and their sizes


def follow(root: Path, model: str) -> Start | None:
    """Pin what the settings ask for, unless it is pinned for these data already; returns the start.

    Raises `BadSettings` when a champion is asked for and there is none, `BadData` when it has read all the data.
    """
    settings = params.load(root / params.PARAMS)
    weights = params.parse(settings["pretrain"], Pretrain, "pretrain").start == CHAMPION
    keeps = params.parse(settings["tokenizer"], TrainTokenizer, "tokenizer").retrain_below is not None
    found = _chosen(root, model, settings, weights=weights) if weights or keeps else None
    start.write(found, root / start.PIN)
    return found


def pin(root: Path, version: Version) -> Start:
    """Pin a version by hand, whatever it has read. Raises `BadSettings` where nothing is pretrained."""
    settings = params.load(root / params.PARAMS)
    if "pretrain" not in settings:
        raise BadSettings("params.yaml has no section `pretrain`, which is what goes on from a version")
    chosen = of_version(version, data_of_tree(root, settings))
    weights = params.parse(settings["pretrain"], Pretrain, "pretrain").start == CHAMPION
    found = chosen if weights else _tokenizer_alone(chosen)
    start.write(found, root / start.PIN)
    return found


def of_version(version: Version, data: str) -> Start:
    """A version as the start for data with this digest. Raises `BadData` when its files are unknown."""
    kept = Kept(store.kept(version))
    recipe = version.recipe
    folders = {folder.name: out for folder, out in start.ORIGINS.items()}
    if f"models/finetuned/{recipe}" in kept.outs:
        folders |= {f"{start.FINETUNED.name}/{recipe}": f"models/finetuned/{recipe}"}
    files = {f"{folder}/{name}": md5 for folder, out in folders.items() for name, md5 in _files(version, kept, out)}
    return Start(version.name, version.number, version.digest, data, files)


def data_digest(listing: Any, sources: bytes, settings: Mapping[str, Any]) -> str:
    """The digest of everything that the prepared data follow from, apart from code: without running a stage."""
    content = [listing, hashlib.sha256(sources).hexdigest(), settings["ingest"], settings["prepare"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def data_of_tree(root: Path, settings: Mapping[str, Any]) -> str:
    """The digest of the data that a run in the repository at `root` reads."""
    listing = root / "data/listing.json"
    listed = json.loads(listing.read_text(encoding="utf-8")) if listing.exists() else {}
    return data_digest(listed, (root / catalogue(dict(settings))).read_bytes(), settings)


def _chosen(root: Path, model: str, settings: Mapping[str, Any], *, weights: bool) -> Start | None:
    data, pinned = data_of_tree(root, settings), start.read(root / start.PIN)
    if pinned and pinned.data == data and pinned.has_weights == weights:
        return pinned
    number = store.aliases(model).get(store.CHAMPION)
    if number is None:
        if weights:
            raise BadSettings(
                f"params.yaml: pretrain.start is {CHAMPION}, but {model} has none: train one without it first"
            )
        return None
    champion = store.find(model, str(number))
    kept = Kept(store.kept(champion))
    if not weights and not {"models/tokenizer", "models/pretrained"} <= kept.outs.keys():
        return None  # it was fine-tuned on a checkpoint, and has no tokenizer of ours
    if data_digest(kept.local_files, (kept.folder / SOURCES).read_bytes(), kept.settings) != data:
        found = of_version(champion, data)
        return found if weights else _tokenizer_alone(found)
    own = start.read(kept.folder / START)  # the champion was made from these very data
    if weights and not (own and own.has_weights):
        raise BadData(
            f"nothing is new: {model} version {number}, the champion, was made from these very data; add text "
            f"(docs/add-data.md), or take pretrain.start out of params.yaml to train from zero"
        )
    return own if weights or own is None else _tokenizer_alone(own)


def _tokenizer_alone(found: Start) -> Start:
    return replace(found, files={name: md5 for name, md5 in found.files.items() if name.startswith(TOKENIZER_FILES)})


def _files(version: Version, kept: Kept, out: str) -> list[tuple[str, str]]:
    """The files of an out that a start takes, with their md5."""
    made = kept.outs.get(out)
    if made is None or not made.files:
        raise BadData(f"{version.name} version {version.number} cannot be gone on from: the files of {out} are unknown")
    return [(name, md5) for name, md5 in made.files.items() if out != "data/tokens" or name in READ_FILES]
