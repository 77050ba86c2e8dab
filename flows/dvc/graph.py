"""The stage graph, read from DVC, which decides what runs, in which order, and what is still fresh.

Only `dvc.api` is DVC's public API, so everything else that is needed of it stays here and in `flows.dvc.repair`.
"""

import logging
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from dvc.config_schema import RelPath
from dvc.dependency import ParamsDependency
from dvc.exceptions import DownloadError, DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage
from dvc.stage.cache import _get_stage_hash
from dvc.utils.serialize import modify_yaml
from dvc_data.hashfile.hash_info import HashInfo

from components.core.errors import BadSettings, TryAgain
from components.core.nested import MISSING, differences
from flows.dvc import repair

PIPELINE = "dvc.yaml"
RECORD = "dvc.lock"
TRAINING_STAGES = ("pretrain", "finetune")
"""The kinds of stages that train."""
EXCLUSIVE_STAGES = (*TRAINING_STAGES, "evaluate", "evaluate-base")
"""Stages that use every core, or the GPU: one of them at a time, since two would slow each other down fourfold.

docs/decisions.md, "One model at work at a time"
"""

_WORDS = {
    "deleted": "{} is missing",
    "modified": "{} changed",
    "new": "{} is new",
    "not in cache": "{} is not in the cache",
}

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Stage:
    """One stage: its name, its edges, and why it would run (no reason: it is fresh)."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    upstream: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def fresh(self) -> bool:
        """Whether its outs can be taken as they are."""
        return not self.reasons


@dataclass(frozen=True)
class Plan:
    """All stages, in the order in which `dvc repro` would run them."""

    stages: tuple[Stage, ...]

    @property
    def stale(self) -> tuple[Stage, ...]:
        """The stages that would run."""
        return tuple(stage for stage in self.stages if not stage.fresh)


def kind(name: str) -> str:
    """The name of a stage without its matrix item: `finetune` of `finetune@assistant`."""
    return name.partition("@")[0]


def read_plan(targets: Sequence[str] = (PIPELINE,)) -> Plan:
    """The stages that the targets need, by default all of `dvc.yaml`, and which are fresh, read from DVC in one call.

    Raises `BadSettings` when the graph cannot be read, `TryAgain` while some stage of it is running.
    """
    with _repo() as repo:
        repair.put_in_order(repo)
        status = repo.status(targets=list(targets), with_deps=True)
        graph = repo.index.graph
        stages: list[Stage] = []
        will_run: set[str] = set()
        for node in _in_order(repo, targets):
            upstream = tuple(sorted(other.name for other in graph.successors(node) if _is_stage(other)))
            reasons = [*_own_reasons(node, status.get(node.addressing, []))]
            if reasons != ["never run"]:
                reasons += [f"{name} will run" for name in upstream if name in will_run]
            if reasons:
                will_run.add(node.name)
            stages.append(_stage(node, upstream, reasons))
        return Plan(tuple(stages))


def digests(name: str) -> dict[str, Any]:
    """The current digests of a stage's deps and values of its parameters, by name; missing ones are left out."""
    with _repo() as repo:
        return {
            str(dep): dep.read_params() if isinstance(dep, ParamsDependency) else dep.get_hash().value
            for dep in _find(repo, name).deps
            if dep.exists
        }


def recorded(name: str) -> dict[str, Any]:
    """The same, as DVC recorded it when the stage last succeeded."""
    with _repo() as repo:
        return {str(dep): dep.hash_info.value for dep in _find(repo, name).deps}


def drop_damaged(name: str) -> list[str]:
    """Remove the outs of a stage that are damaged in DVC's cache, there and in the folder; returns their paths."""
    with _repo() as repo:
        return repair.drop_damaged([_find(repo, name)])


def forget(name: str) -> None:
    """Remove what DVC recorded of a stage's last run, from `dvc.lock` and from the run cache."""
    with _repo() as repo:
        runs = repo.stage_cache
        shutil.rmtree(runs._get_cache_dir(_get_stage_hash(_find(repo, name))), ignore_errors=True)
        with modify_yaml(RECORD) as record:
            record["stages"].pop(name)


def sort_record() -> None:
    """Put the stages of `dvc.lock` in the order of the plan, in which `dvc repro` would have left them.

    Stages that ran in parallel were recorded as they finished.

    docs/decisions.md, "The order in `dvc.lock` is that of the plan"
    """
    if not Path(RECORD).exists():  # no stage has succeeded yet
        return
    with _repo() as repo:
        order = [node.name for node in _in_order(repo)]
        with modify_yaml(RECORD) as record:
            stages = record.get("stages", {})
            for name in order:
                if name in stages:
                    stages[name] = stages.pop(name)


def share_cache(main: str) -> None:
    """Let the current worktree use the cache of the main tree, and check out the recorded outs that it has."""
    with Repo(main) as repo, Repo(".") as ours:
        settings = repo.config.load_one("local")
        # Relative, as DVC writes only ASCII, and the path of the main tree may have other letters.
        settings["cache"]["dir"] = RelPath(repo.cache.local_cache_dir)
        with ours.config.edit("local") as local:
            local.update(settings)
    with _repo() as repo:
        repair.put_in_order(repo)
        repo.checkout(force=True, allow_missing=True)
        repair.drop_damaged(repo.index.stages)


def record_of(folder: Path) -> Path:
    """The file in which DVC records a folder that it tracks by itself, and that git has."""
    return folder.with_name(f"{folder.name}.dvc")


def track(folder: Path, origin: str) -> None:
    """Let DVC track a folder that no stage makes, and note in its record where it comes from."""
    with _repo() as repo:
        repo.add([str(folder)])
        with modify_yaml(record_of(folder)) as record:
            record["meta"] = {"origin": origin}


def pull(out: str) -> None:
    """Get an out of the current folder from the remote. Raises `TryAgain` when that does not give it."""
    with _repo() as repo:
        try:
            repo.pull(targets=[out])
        except DownloadError as error:
            raise _refused(repo, f"does not give {out}", error) from error


def fetch(digests: Sequence[str]) -> None:
    """Get the objects with these md5 digests from the remote into the cache, as far as it has them."""
    with _repo() as repo:
        if repo.config["core"].get("remote"):
            wanted = {HashInfo("md5", md5) for md5 in digests}
            repo.cloud.pull(wanted, odb=repo.cache.local)


def in_remote(digests: Sequence[str]) -> set[str]:
    """Those of the md5 digests whose objects the remote has; none without a remote. Raises `TryAgain`."""
    with _repo() as repo:
        if not repo.config["core"].get("remote"):
            return set()
        remote = repo.cloud.get_remote_odb()
        try:
            return {md5 for md5 in digests if _has(remote, md5)}
        except Exception as error:  # the client of each store has errors of its own
            raise _refused(repo, "does not say what it has", error) from error


def _has(remote: Any, md5: str) -> bool:
    """Its own `exists` would say no as well when it may not be asked."""
    try:
        remote.fs.info(remote.oid_to_path(md5))
    except FileNotFoundError:
        return False
    return True


def push() -> bool:
    """Push the recorded outs and the run cache to the remote; returns False when no remote is set.

    Raises `TryAgain` when the push fails.
    """
    with _repo() as repo:
        if not repo.config["core"].get("remote"):
            return False
        try:
            repo.push(run_cache=True)
        except Exception as error:  # the client of each store has errors of its own
            raise _refused(repo, "takes nothing", error) from error
        return True


def _refused(repo: Repo, what: str, error: Exception) -> TryAgain:
    return TryAgain(f"the DVC remote {repo.config['core']['remote']} {what}: {_one_line(error)}")


@contextmanager
def _repo() -> Iterator[Repo]:
    """The DVC repository of the current folder, locked, with DVC's errors turned into ours."""
    logging.getLogger("dvc").setLevel(logging.ERROR)  # it warns of every lock that a killed run left
    with _one_at_a_time:
        try:
            with Repo(".", _wait_for_lock=True) as repo, lock_repo(repo):
                yield repo
        except LockError as error:
            raise TryAgain(f"another run is at work in this folder: {_one_line(error)}") from error
        except DvcException as error:
            raise BadSettings(f"{PIPELINE}: {_one_line(error)}") from error


def _in_order(repo: Repo, targets: Sequence[str] = (PIPELINE,)) -> list[Any]:
    """The stages that the targets need as `dvc repro` orders them, from the first to run to the last."""
    nodes = plan_repro(get_active_graph(repo.index.graph), collect_stages(repo, list(targets)))
    return [node for node in nodes if _is_stage(node)]


def _is_stage(node: Any) -> bool:
    """Whether a node of DVC's graph is a stage, and not what `dvc add` tracks."""
    return isinstance(node, PipelineStage)


def _find(repo: Repo, name: str) -> Any:
    return repo.stage.load_one(PIPELINE, name)  # the index would load all stages


def _stage(node: Any, upstream: tuple[str, ...], reasons: list[str]) -> Stage:
    return Stage(
        name=node.name,
        command=node.cmd,
        deps=tuple(str(dep) for dep in node.deps if not isinstance(dep, ParamsDependency)),
        outs=tuple(str(out) for out in node.outs),
        upstream=upstream,
        reasons=tuple(reasons),
    )


def _own_reasons(node: Any, status: list[Any]) -> Iterator[str]:
    """DVC's status of one stage in words, without what follows from its upstream stages."""
    if not any(out.hash_info for out in node.outs):
        yield "never run"
        return
    params = {str(dep): dep for dep in node.deps if isinstance(dep, ParamsDependency)}
    for entry in status:
        if isinstance(entry, str):
            yield "its command changed" if entry == "changed command" else entry
            continue
        for path, word in [*entry.get("changed deps", {}).items(), *entry.get("changed outs", {}).items()]:
            if path in params and isinstance(word, Mapping):
                recorded = params[path].hash_info.value or {}
                yield from _changed_settings(recorded, params[path].read_params())
            else:
                yield _WORDS.get(word, "{} is " + str(word)).format(path)


def _changed_settings(old: Any, new: Any) -> Iterator[str]:
    """The settings that differ, each as `section.key: old → new`."""
    for name, before, now in sorted(differences(old, new), key=itemgetter(0)):
        if now is MISSING:
            yield f"{name} is gone"
        elif before is MISSING:
            yield f"{name} is new"
        else:
            yield f"{name}: {before} → {now}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
