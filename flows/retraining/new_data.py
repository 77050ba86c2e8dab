"""What is new in the data since the last training run, and since the champion was trained.

A run that registered a model leaves `.lmforge/retraining/trained/<model>/<version>.json`: the listing and the
profile of the data that it read.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from components.core.files import write_atomically
from components.core.recipe import model_name
from components.data import drift, listing
from components.data.drift import Profile
from components.data.listing import Listing
from components.registry import store
from components.registry.store import Version
from flows import recipes
from flows.retraining.settings import FOLDER

TRAINED = FOLDER / "trained"
MANIFEST = Path("data/tokens/manifest.json")
BYTES_PER_TOKEN = 4.0  # until there is a tokenizer to measure it


@dataclass(frozen=True)
class Trained:
    """The data that a version was trained on, as far as they can change."""

    model: str  # as the registry names it
    version: int
    time: str  # ISO 8601, UTC
    listing: Listing
    profile: Profile
    sources: dict[str, Profile] = field(default_factory=dict)  # by source; versions of before have none


def note_trained(version: Version) -> None:
    """Record that a version was trained on the data of the current listing; the first time counts."""
    path = _record(version.name, version.number)
    if path.exists() and listing.read() == _load(path).listing:
        return
    read = listing.read()
    sources = drift.by_source(listing.sources(), read)
    profile = drift.total(sources.values())
    trained = Trained(version.name, version.number, datetime.now(UTC).isoformat(), read, profile, sources)
    write_atomically(path, json.dumps(asdict(trained)))


def _record(model: str, version: int) -> Path:
    return TRAINED / model / f"{version}.json"


def last_trained() -> Trained | None:
    """What the last registered version was trained on."""
    return max(map(_load, TRAINED.glob("*/*.json")), key=lambda found: found.time, default=None)


def new_tokens(now: Listing) -> dict[str, int]:
    """An estimate of the tokens in the files that the last training run did not read, by source."""
    last = last_trained()
    sizes: Counter[str] = Counter()
    for source, path in listing.arrived(last.listing if last else {}, now):
        sizes[source] += Path(path).stat().st_size
    per_token = _bytes_per_token()
    return {source: round(size / per_token) for source, size in sizes.items()}


def moved(now: Listing) -> tuple[float, str]:
    """The drift of the data since the champions, or else the last version, were trained, and its dimension.

    Of several recipes that of the champion from which the data moved most.
    """
    return max((_moved(before, now) for before in _compared()), default=(0.0, ""))


def moved_by_source(now: Listing) -> dict[str, tuple[float, str]]:
    """The same of each source that the champions know; the mix of sources is no part of it."""
    found: dict[str, tuple[float, str]] = {}
    compared = _compared()
    profiles = drift.by_source(listing.sources(), now) if compared else {}
    for before in compared:
        for source in profiles.keys() & before.sources.keys():
            moved = drift.figure(before.sources[source], profiles[source])
            found[source] = max(found.get(source, moved), moved)
    return dict(sorted(found.items()))


def _compared() -> list[Trained]:
    """What the data are compared with: what the champions, or else the last version, were trained on."""
    last = last_trained()
    return [*_champions()] or ([last] if last else [])


def _moved(before: Trained, now: Listing) -> tuple[float, str]:
    if before.listing == now:
        return 0.0, ""
    return drift.figure(before.profile, drift.profile(listing.sources(), now))


def _champions() -> Iterator[Trained]:
    """What the champion of each recipe was trained on, as far as that is known."""
    for name in map(model_name, recipes.asked()):
        number = store.aliases(name).get(store.CHAMPION)
        if number:
            with suppress(FileNotFoundError):
                yield _load(_record(name, number))


def _bytes_per_token() -> float:
    """Measured by the tokens that the current tokenizer made of the documents."""
    with suppress(FileNotFoundError):
        shards = json.loads(MANIFEST.read_text(encoding="utf-8"))["shards"]
        tokens = sum(shard["tokens"] for shard in shards)
        if tokens:
            return float(sum(shard["bytes"] for shard in shards) / tokens)
    return BYTES_PER_TOKEN


def _load(path: Path) -> Trained:
    return Trained(**json.loads(path.read_text(encoding="utf-8")))
