"""The only adapter to MLflow's model registry: versions of a model, and the aliases that show which one is live.

`@champion` is live, `@previous` is the one before, `@challenger` was judged last and is not champion. `champion`
decides what may move them, and when; MLflow keeps no history of that, but `ledger` does.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from components import tracking
from components.core.errors import BadData, BadSettings
from components.core.files import STATE
from components.core.recipe import of_model
from components.core.stage import log
from components.model.folder import ADAPTER_CONFIG, weight_files
from components.registry import mlflow_model
from components.registry.ledger import Head

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"

HEAD = "ledger_head"
KEPT = "lineage"  # the folder of an MLflow model with its lineage files

IDENTITY = ("config.json", "tokenizer.json", ADAPTER_CONFIG)  # beside the weights: by these two packages are the same


@dataclass(frozen=True)
class Version:
    """A registered version of a model; `digest` is that of its weights, sizes and tokenizer."""

    name: str
    number: int
    digest: str
    created: datetime

    @property
    def recipe(self) -> str:
        """The recipe that it was made by."""
        return of_model(self.name)


def register(
    package: Path, name: str, tags: Mapping[str, str], kept: Mapping[str, bytes] = MappingProxyType({})
) -> Version:
    """The version of a package, created when the registry has none with its digest.

    `tags` are its lineage, and `kept` its lineage files (`components.lineage.snapshot`), by their names. The model is
    linked to the run with the tag `stage_key`, or else to a run of its own.
    docs/decisions.md, "Registering is not a stage"
    """
    store = tracking.client()
    package_digest = digest(package)
    known = _find(store, name, package_digest)
    if known is not None:
        if kept and not _has_kept(store, known):  # it was registered before lineage was stored
            _keep(known, kept)
            note(known, tags)
        return known
    run_id = _run(store, name, tags)
    model = store.create_logged_model(tracking.experiment(store), name, source_run_id=run_id, tags=dict(tags))
    _upload(store, model.model_id, package, kept)
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
    """sha256 over the files that make the model: another wording of the card makes no other model.

    docs/decisions.md, "A version is its weights, sizes and tokenizer"
    """
    total = hashlib.sha256()
    others = [package / name for name in IDENTITY if (package / name).exists()]
    for file in (*weight_files(package), *others):
        with file.open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()


def find(name: str, ref: str) -> Version:
    """The version with this alias or number. Raises `BadSettings` when there is none."""
    return _version(_get(tracking.client(), name, ref))


def exists(name: str, number: int) -> bool:
    """Whether the registry has this version."""
    return bool(tracking.client().search_model_versions(f"name = '{name}' and version_number = {number}"))


def aliases(name: str) -> dict[str, int]:
    """The version number of each alias; empty for an unknown model."""
    model = _registered(tracking.client(), name)
    return {alias: int(number) for alias, number in model.aliases.items()} if model else {}


def move(name: str, targets: Mapping[str, int | None]) -> None:
    """Point each alias to its version, or to none. Readers find a champion at every moment.

    The order is that of a promotion: first `@previous`, so that the version to go back to is known.
    docs/decisions.md, "`@previous` moves before `@champion`"
    """
    store, present = tracking.client(), aliases(name)
    for alias in (PREVIOUS, CHAMPION, CHALLENGER):
        number = targets[alias]
        if number is not None and number != present.get(alias):
            store.set_registered_model_alias(name, alias, str(number))
        if number is None and alias in present:
            store.delete_registered_model_alias(name, alias)


def head(name: str) -> Head | None:
    """The last ledger entry about a model that the registry knows."""
    model = _registered(tracking.client(), name)
    return Head.parse(model.tags[HEAD]) if model and HEAD in model.tags else None


def set_head(name: str, known: Head) -> None:
    """Record an entry of the ledger as the last one that the registry knows."""
    tracking.client().set_registered_model_tag(name, HEAD, str(known))


def attach(version: Version, folder: Path, name: str) -> None:
    """Add the files of a folder to those of a version's model, in a folder of that name."""
    store = tracking.client()
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    model_version = store.get_model_version(version.name, str(version.number))
    artifacts: Any = get_artifact_repository(str(model_version.source), tracking_uri=store.tracking_uri)
    artifacts.log_artifacts(str(folder), name)


def note(version: Version, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    store = tracking.client()
    for key, value in tags.items():
        store.set_model_version_tag(version.name, str(version.number), key, value)


def notes(version: Version) -> dict[str, str]:
    """The tags of a version."""
    return dict(tracking.client().get_model_version(version.name, str(version.number)).tags)


def fetch(name: str, ref: str) -> Path:
    """The package folder of a version (`ref` is an alias or a number), downloaded once and cached by its digest."""
    store = tracking.client()
    from mlflow.artifacts import download_artifacts

    model_version = _get(store, name, ref)
    wanted = _version(model_version)
    folder = STATE / "packages" / f"{name}-{wanted.digest[:16]}"
    if folder.exists():
        return folder
    if not has_files(name, wanted.number):
        raise BadData(f"the files of {name} version {wanted.number} are gone from {model_version.source}: restore them")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        source = f"{model_version.source}/{mlflow_model.ARTIFACTS}"
        part = Path(download_artifacts(source, dst_path=scratch, tracking_uri=store.tracking_uri))
        if digest(part) != wanted.digest:
            raise BadData(f"{name} {wanted.number} came out of the registry changed: its files do not match its digest")
        part.rename(folder)
    return folder


def has_files(name: str, number: int) -> bool:
    """Whether the files of a version still exist at the registry's location."""
    store = tracking.client()
    from mlflow.artifacts import list_artifacts

    source = store.get_model_version(name, str(number)).source
    return bool(list_artifacts(f"{source}/{mlflow_model.ARTIFACTS}", tracking_uri=store.tracking_uri))


def versions(name: str) -> list[Version]:
    """All versions of a model, the oldest first."""
    versions = tracking.client().search_model_versions(f"name = '{name}'")
    return sorted((_version(version) for version in versions), key=lambda version: version.number)


def kept(version: Version) -> Path:
    """The folder with the lineage files of a version, downloaded once.

    Raises `BadData` for a version that was registered without them.
    """
    store = tracking.client()
    folder = STATE / "packages" / f"{version.name}-{version.digest[:16]}.{KEPT}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    from mlflow.artifacts import download_artifacts

    if not _has_kept(store, version):
        raise BadData(f"{version.name} version {version.number} was registered without its lineage")
    source = f"{store.get_model_version(version.name, str(version.number)).source}/{KEPT}"
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        Path(download_artifacts(source, dst_path=scratch, tracking_uri=store.tracking_uri)).rename(folder)
    return folder


def _has_kept(store: "MlflowClient", version: Version) -> bool:
    from mlflow.artifacts import list_artifacts

    model_version = store.get_model_version(version.name, str(version.number))
    return bool(list_artifacts(f"{model_version.source}/{KEPT}", tracking_uri=store.tracking_uri))


def _keep(version: Version, kept: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        attach(version, _write(Path(scratch) / KEPT, kept), KEPT)


def _write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _upload(store: "MlflowClient", model_id: str, package: Path, kept: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        mlflow_model.save(package, folder, model_id)
        _write(folder / KEPT, kept)
        store.log_model_artifacts(model_id, str(folder))
    store.finalize_logged_model(model_id, "READY")


def _run(store: "MlflowClient", name: str, tags: Mapping[str, str]) -> str:
    """The run that trained the model, or a new one when MLflow does not know it."""
    existing = tracking.find(tags["stage_key"]) if "stage_key" in tags else None
    if existing is not None:
        return existing
    log.warning("MLflow knows no run that trained this %s: the version gets a run of its own, without curves", name)
    run = store.create_run(tracking.experiment(store), tags=dict(tags), run_name=f"register {name}")
    store.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _link(store: "MlflowClient", run_id: str, model_id: str, created: "ModelVersion") -> None:
    """Link the run to the model, and the model to the version, on MLflow's pages."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    store.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    versions = json.dumps([{"name": created.name, "version": int(created.version)}])
    store.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: versions})


def _find(store: "MlflowClient", name: str, package_digest: str) -> Version | None:
    """The version with this digest; creates the registered model itself when it does not exist yet."""
    from mlflow.exceptions import MlflowException

    try:
        store.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = store.search_model_versions(f"name = '{name}' and tags.digest = '{package_digest}'")
    return _version(versions[0]) if versions else None


def _registered(store: "MlflowClient", name: str) -> "RegisteredModel | None":
    from mlflow.exceptions import MlflowException

    try:
        return store.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _get(store: "MlflowClient", name: str, ref: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return store.get_model_version(name, ref) if ref.isdigit() else store.get_model_version_by_alias(name, ref)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = ", ".join(f"@{alias} ({number})" for alias, number in sorted(aliases(name).items())) or "no alias yet"
        raise BadSettings(f"the registry has no {name} {ref}; it has {known}") from None


def _version(model_version: "ModelVersion") -> Version:
    return Version(
        name=model_version.name,
        number=int(model_version.version),
        digest=model_version.tags["digest"],
        created=datetime.fromtimestamp(model_version.creation_timestamp / 1000, UTC),
    )
