"""The one adapter to MLflow's model registry: versions of a model, and the aliases that say which one is live.

`@champion` is live, `@previous` is the one before, `@challenger` was judged last and is not champion. MLflow
keeps no history of aliases, so every move of the champion is also noted in a tag of the registered model: the ledger.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components import tracking
from components.registry import mlflow_model
from components.stage import STATE, BadData, BadSettings, log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"

IDENTITY = ("model.safetensors", "config.json", "tokenizer.json")  # what makes two packages the same model


@dataclass(frozen=True)
class Version:
    """A registered version of a model; `digest` is that of its weights, sizes and tokenizer."""

    name: str
    number: int
    digest: str
    created: datetime


@dataclass(frozen=True)
class Move:
    """One line of the ledger: at `time`, `champion` took the place of `previous`."""

    time: str  # ISO 8601, UTC
    champion: int
    previous: int | None


def register(package: Path, name: str, tags: Mapping[str, str]) -> Version:
    """The version of a package, made when the registry has none with its digest.

    `tags` are its lineage. The model is linked to the run of the tag `stage_key`, or else to a run of its own.
    """
    store = tracking.client()
    package_digest = digest(package)
    known = _find(store, name, package_digest)
    if known is not None:
        return known
    run_id = _run(store, name, tags)
    model = store.create_logged_model(tracking.experiment(store), name, source_run_id=run_id, tags=dict(tags))
    _upload(store, model.model_id, package)
    created = store.create_model_version(
        name,
        source=model.artifact_location,
        run_id=run_id,
        tags={**tags, "digest": package_digest},
        model_id=model.model_id,
    )
    _link(store, run_id, model.model_id, created)
    return _version(created)


def digest(package: Path) -> str:
    """sha256 over the files that make the model: other wording in the card makes no other model."""
    total = hashlib.sha256()
    for file in IDENTITY:
        with (package / file).open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()


def find(name: str, ref: str) -> Version:
    """The version that an alias or a number stands for. Raises `BadSettings` when there is none."""
    return _version(_get(tracking.client(), name, ref))


def aliases(name: str) -> dict[str, int]:
    """The number behind each alias; empty for an unknown model."""
    store = tracking.client()
    from mlflow.exceptions import MlflowException

    try:
        found = store.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {alias: int(number) for alias, number in found.items()}


def challenge(name: str, number: int) -> None:
    """Make a version the challenger."""
    tracking.client().set_registered_model_alias(name, CHALLENGER, str(number))


def promote(name: str, number: int) -> None:
    """Make a version champion and the present champion `@previous`. Nothing happens when it is champion already.

    `@previous` moves first, and readers find a champion at every moment.
    """
    store = tracking.client()
    _get(store, name, str(number))
    present = aliases(name).get(CHAMPION)
    if present == number:
        return
    if present is not None:
        store.set_registered_model_alias(name, PREVIOUS, str(present))
    store.set_registered_model_alias(name, CHAMPION, str(number))
    if aliases(name).get(CHALLENGER) == number:
        store.delete_registered_model_alias(name, CHALLENGER)
    _note(store, name, Move(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", number, present))


def rollback(name: str) -> int:
    """Let champion and previous change places; gives the number of the new champion.

    Raises `BadSettings` when no champion was ever replaced.
    """
    previous = aliases(name).get(PREVIOUS)
    if previous is None:
        raise BadSettings(f"{name} has no @previous: no champion was replaced yet, so there is nothing to go back to")
    promote(name, previous)
    return previous


def note(version: Version, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    store = tracking.client()
    for key, value in tags.items():
        store.set_model_version_tag(version.name, str(version.number), key, value)


def notes(version: Version) -> dict[str, str]:
    """The tags of a version."""
    return dict(tracking.client().get_model_version(version.name, str(version.number)).tags)


def ledger(name: str) -> list[Move]:
    """Every move of `@champion`, the oldest first."""
    tags = tracking.client().get_registered_model(name).tags
    return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith("move ")]


def fetch(name: str, ref: str) -> Path:
    """The package folder of a version (`ref` is an alias or a number), downloaded once and kept by its digest."""
    store = tracking.client()
    from mlflow.artifacts import download_artifacts

    found = _get(store, name, ref)
    wanted = _version(found)
    folder = STATE / "packages" / f"{name}-{wanted.digest[:16]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        source = f"{found.source}/{mlflow_model.ARTIFACTS}"
        part = Path(download_artifacts(source, dst_path=scratch, tracking_uri=store.tracking_uri))
        if digest(part) != wanted.digest:
            raise BadData(f"{name} {wanted.number} came out of the registry changed: its files do not match its digest")
        part.rename(folder)
    return folder


def _upload(store: "MlflowClient", model_id: str, package: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        mlflow_model.save(package, folder, model_id)
        store.log_model_artifacts(model_id, str(folder))
    store.finalize_logged_model(model_id, "READY")


def _run(store: "MlflowClient", name: str, tags: Mapping[str, str]) -> str:
    """The run that trained the model, or a new one when MLflow does not know it."""
    found = tracking.find(tags["stage_key"]) if "stage_key" in tags else None
    if found is not None:
        return found
    log.warning("MLflow knows no run that trained this %s: the version gets a run of its own, without curves", name)
    run = store.create_run(tracking.experiment(store), tags=dict(tags), run_name=f"register {name}")
    store.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _link(store: "MlflowClient", run_id: str, model_id: str, created: "ModelVersion") -> None:
    """Let the pages of MLflow lead from the run to the model and on to the version."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    store.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    versions = json.dumps([{"name": created.name, "version": int(created.version)}])
    store.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: versions})


def _find(store: "MlflowClient", name: str, package_digest: str) -> Version | None:
    """The version with this digest; makes the registered model itself when it is not there yet."""
    from mlflow.exceptions import MlflowException

    try:
        store.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = store.search_model_versions(f"name = '{name}' and tags.digest = '{package_digest}'")
    return _version(found[0]) if found else None


def _get(store: "MlflowClient", name: str, ref: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return store.get_model_version(name, ref) if ref.isdigit() else store.get_model_version_by_alias(name, ref)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = ", ".join(f"@{alias} ({number})" for alias, number in sorted(aliases(name).items())) or "no alias yet"
        raise BadSettings(f"the registry has no {name} {ref}; it has {known}") from None


def _version(found: "ModelVersion") -> Version:
    return Version(
        name=found.name,
        number=int(found.version),
        digest=found.tags["digest"],
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
    )


def _note(store: "MlflowClient", name: str, move: Move) -> None:
    store.set_registered_model_tag(name, f"move {move.time}", json.dumps(vars(move)))
