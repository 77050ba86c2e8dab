"""Where MLflow stores runs and the registry: a server, or an SQLite file in the state folder.

MLflow takes a second to import and reads its environment then, so only functions import it, after `client`.
docs/decisions.md, "Runs write to MLflow's SQLite file, not through its server"
"""

import fcntl
import importlib.metadata
import os
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from components.core.errors import TryAgain
from components.core.files import STATE, write_atomically
from components.tracking import relocation

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "lmforge"
SQLITE = "sqlite:///"


def uri() -> str:
    """Address of the store, ready for use: MLFLOW_TRACKING_URI, else an SQLite file in the state folder.

    The paths in a file that was moved or copied here are corrected first.
    """
    address = _address()
    if address.startswith(SQLITE):
        _migrate(_database(address))
        relocation.settle(_database(address), EXPERIMENT)
    return address


def client() -> "MlflowClient":
    """MLflow's client of this store and its registry. Raises `TryAgain` when the server is unavailable."""
    _quiet()
    address = uri()
    _check(address)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=address, registry_uri=address)


def experiment(store: "MlflowClient") -> str:
    """Id of the experiment that holds our runs; created on the first call."""
    from mlflow.exceptions import MlflowException

    found = store.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(store.create_experiment(EXPERIMENT, artifact_location=_artifacts(store.tracking_uri)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment(store)  # another stage created it in between


def is_there() -> bool:
    """Whether there is a store: a server, or an SQLite file that something was written to."""
    address = _address()
    return not address.startswith(SQLITE) or _database(address).exists()


def moved_from(database: Path) -> str | None:
    """The former folder of an SQLite file with runs, if it was moved since they were made; else None."""
    mark = database.with_suffix(".version")
    old = relocation.former(database, EXPERIMENT) if _is_migrated(database, mark, _version()) else None
    return old and urllib.parse.unquote(old.removeprefix("file://").removesuffix("/artifacts"))


def _check(address: str) -> None:
    """Raise `TryAgain` when a server is unavailable; MLflow's own client would retry for minutes."""
    if not address.startswith("http"):
        return
    try:
        requests.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
    except requests.RequestException as error:
        raise TryAgain(
            f"no MLflow server answers at {address} ({type(error).__name__}): start it, or unset MLFLOW_TRACKING_URI"
        ) from None


def _quiet() -> None:
    """Telemetry off (MLflow compares the string), warnings only, few retries: what fails is sent again later."""
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


def _address() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{(STATE / 'mlflow' / 'mlflow.db').resolve()}"


def _database(address: str) -> Path:
    return Path(address.removeprefix(SQLITE))


def _artifacts(address: str) -> str | None:
    """The location of artifacts: next to the SQLite file; a server decides for itself."""
    return relocation.artifacts(_database(address)) if address.startswith(SQLITE) else None


def _migrate(database: Path) -> None:
    """Migrate the file to the schema of the installed MLflow, one process at a time.

    Several processes that open a new file would each migrate it, and corrupt it.
    docs/decisions.md, "MLflow in pieces"
    """
    version, mark = _version(), database.with_suffix(".version")
    if _is_migrated(database, mark, version):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_migrated(database, mark, version):
            _upgrade(database)
            write_atomically(mark, version)


def _upgrade(database: Path) -> None:
    """Migrate the file. A new one gets its name when it is complete, so that a killed stage leaves no partial file."""
    _quiet()
    from mlflow.db import upgrade  # the command `mlflow db upgrade`

    target = database if database.exists() else database.with_suffix(".part")
    if target != database:
        target.unlink(missing_ok=True)
    upgrade.main([f"{SQLITE}{target}"], standalone_mode=False)
    target.replace(database)


def _version() -> str:
    return importlib.metadata.version("mlflow")


def _is_migrated(database: Path, mark: Path, version: str) -> bool:
    return database.exists() and mark.exists() and mark.read_text() == version
