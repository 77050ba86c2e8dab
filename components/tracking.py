"""The one adapter to MLflow runs: where they are kept, and a run for each training stage.

A run is found by the tag `stage_key`, the digest of what the stage was made from, so that a resumed stage
goes on in its run and the run of a cached stage is found again. No out of a stage holds a run id.
MLflow takes a second to import and reads its environment then: only functions import it, after `client`.
"""

import fcntl
import importlib.metadata
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import requests

from components.stage import STATE, TryAgain, write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "lmforge"
SQLITE = "sqlite:///"

FLUSH_STEPS = 100  # one by one a point costs 40 times as much as in a batch
FLUSH_SECONDS = 30.0
BATCH = 1000  # points; MLflow takes no more in one request

log = logging.getLogger("lmforge")


def uri() -> str:
    """Address of the store, ready for use: MLFLOW_TRACKING_URI, else an SQLite file in the state folder."""
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{(STATE / 'mlflow' / 'mlflow.db').absolute()}"
    if address.startswith(SQLITE):
        _migrate(_database(address))
    return address


def client() -> "MlflowClient":
    """MLflow's client of this store and its registry. Raises `TryAgain` when the server is away."""
    _quiet()
    address = uri()
    _check(address)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=address, registry_uri=address)


def experiment(store: "MlflowClient") -> str:
    """Id of the experiment that holds our runs; made on the first call."""
    from mlflow.exceptions import MlflowException

    found = store.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(store.create_experiment(EXPERIMENT, artifact_location=_artifacts(store.tracking_uri)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment(store)  # another stage made it in between


def find(key: str) -> str | None:
    """Id of the run whose stage had this digest, or None."""
    store = client()
    return _find(store, experiment(store), key)


class Run:
    """An open run. Metrics are buffered; an unreachable server never ends a training."""

    def __init__(self, store: "MlflowClient", run_id: str) -> None:
        self.id = run_id
        self._store = store
        self._logged = _last_steps(store, run_id)
        self._points: list[tuple[str, float, int, int]] = []
        self._steps = 0
        self._flushed_at = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note metrics of a step, but for those that an earlier try of the stage already noted."""
        now = int(time.time() * 1000)
        self._points += [
            (name, float(value), now, step) for name, value in metrics.items() if step > self._logged.get(name, -1)
        ]
        self._steps += 1
        if self._steps >= FLUSH_STEPS or time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what is buffered; on failure keep it for the next time."""
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException

        self._steps = 0
        self._flushed_at = time.monotonic()
        try:
            while self._points:
                self._store.log_batch(self.id, metrics=[Metric(*point) for point in self._points[:BATCH]])
                del self._points[:BATCH]
        except MlflowException as error:
            log.warning("MLflow did not take %d points: %s", len(self._points), error)

    def end(self, status: str) -> None:
        """Send the rest and close the run as FINISHED, FAILED or KILLED."""
        from mlflow.exceptions import MlflowException

        self.flush()
        try:
            self._store.set_terminated(self.id, status)
        except MlflowException as error:
            log.warning("MLflow did not take the end of run %s: %s", self.id, error)


@contextmanager
def start(stage: str, key: str, settings: Mapping[str, object]) -> Iterator[Run]:
    """The run of a stage, made or found by its digest, open for the body and then closed with its outcome.

    Raises `TryAgain` before the body when MLflow cannot be reached.
    """
    run = _open(stage, key, settings)
    try:
        with _sigterm_raises():
            yield run
    except Exception:
        run.end("FAILED")
        raise
    except BaseException:
        run.end("KILLED")
        raise
    run.end("FINISHED")


def flatten(settings: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level with dotted names, each value as text."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


def _open(stage: str, key: str, settings: Mapping[str, object]) -> Run:
    store = client()
    from mlflow.entities import Param
    from mlflow.exceptions import MlflowException

    try:
        where = experiment(store)
        run_id = _find(store, where, key)
        if run_id is None:
            tags = {"stage": stage, "stage_key": key}
            run_id = str(store.create_run(where, tags=tags, run_name=f"{stage} {key[:8]}").info.run_id)
        else:
            store.update_run(run_id, status="RUNNING")
        store.log_batch(run_id, params=[Param(name, value) for name, value in flatten(settings).items()])
        return Run(store, run_id)
    except MlflowException as error:
        raise TryAgain(f"MLflow at {store.tracking_uri} cannot be used: {_line(error)}") from error


def _find(store: "MlflowClient", where: str, key: str) -> str | None:
    runs = store.search_runs([where], f"tags.stage_key = '{key}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _last_steps(store: "MlflowClient", run_id: str) -> dict[str, int]:
    """The last step noted of each metric of a run."""
    names = store.get_run(run_id).data.metrics
    return {name: max(point.step for point in store.get_metric_history(run_id, name)) for name in names}


def _check(address: str) -> None:
    """MLflow's own client would try for minutes before it gave up on a server that is away."""
    if not address.startswith("http"):
        return
    try:
        requests.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
    except requests.RequestException as error:
        raise TryAgain(
            f"no MLflow server answers at {address} ({type(error).__name__}): start it, or unset MLFLOW_TRACKING_URI"
        ) from None


def _quiet() -> None:
    """Telemetry off (MLflow compares the word), warnings only, no minutes of retries in a training step."""
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


def _database(address: str) -> Path:
    return Path(address.removeprefix(SQLITE))


def _artifacts(address: str) -> str | None:
    """Where artifacts go: beside the SQLite file; a server decides for itself."""
    return (_database(address).parent / "artifacts").absolute().as_uri() if address.startswith(SQLITE) else None


def _migrate(database: Path) -> None:
    """Bring the file to the schema of the installed MLflow, one process at a time.

    Several processes that meet a fresh file would each migrate it, and ruin it.
    """
    version, mark = importlib.metadata.version("mlflow"), database.with_suffix(".version")
    if _is_migrated(database, mark, version):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_migrated(database, mark, version):
            _quiet()
            from mlflow.db import upgrade  # the command `mlflow db upgrade`

            upgrade.main([f"{SQLITE}{database}"], standalone_mode=False)
            write_atomically(mark, version)


def _is_migrated(database: Path, mark: Path, version: str) -> bool:
    return database.exists() and mark.exists() and mark.read_text() == version


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """A stage that is told to stop leaves as by an exception, so that its run is closed as KILLED."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (what signal.signal asks for)
    raise SystemExit(128 + number)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
