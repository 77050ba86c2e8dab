"""Estimates how long a run will take on this machine, before its first stage starts.

The part that needs PyTorch (model sizes, the probe of the machine) runs in a separate process, `python -m
flows.pipeline.forecast`, while a server starts. Its result is cached in `.lmforge/cost.json` until a setting or a
preset changes.

docs/decisions.md, "How long a run will take: a probe, not a share of the peak"
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import params, stage
from components.core.files import STATE, write_atomically
from components.cost import estimate
from components.cost.estimate import AFTER, RunEstimate, TrainingEstimate
from flows import presets

if TYPE_CHECKING:
    from flows.dvc.graph import Plan

KEPT = STATE / "cost.json"
PRESENT = ""  # the key of the current settings, among the names of presets

_counting: list["subprocess.Popen[bytes]"] = []


@contextmanager
def counting() -> Iterator[None]:
    """A context in which the estimate is computed in the background; only `lines` and `trainings` wait for it."""
    if _load() is None:
        _counting.append(subprocess.Popen([sys.executable, "-m", "flows.pipeline.forecast"], stderr=subprocess.DEVNULL))
    try:
        yield
    finally:
        while _counting:
            process = _counting.pop()
            process.terminate()
            process.wait()


def lines(plan: "Plan") -> list[str]:
    """How long the stale stages will take and, if that is long, presets that take less; empty if all is fresh.

    Also empty if no estimate was computed: a run that no user started makes none.
    """
    stale = [each.name for each in plan.stale]
    if not stale:
        return []
    runs = _wait()
    if runs is None:
        return [f"how long it takes is not known: {stage.outcome('cost')[1]}"] if _counting else []
    names = [*stale, AFTER]
    total = estimate.total(runs[PRESENT], names)
    others = {name: estimate.total(run, run.stages) for name, run in runs.items() if name != PRESENT}
    return [estimate.foretell(runs[PRESENT], names), *estimate.quicker(total, others)]


def trainings(plan: "Plan") -> dict[str, str]:
    """The estimated cost of each training stage that would run, by its name."""
    runs = _wait() if plan.stale else None
    known = runs[PRESENT].trainings if runs else {}
    return {each.name: estimate.describe(each.name, known[each.name]) for each in plan.stale if each.name in known}


def remember(name: str, seconds: float) -> None:
    """Record how long a stage took, for the next estimate."""
    runs = _load()
    if runs is not None:
        runs[PRESENT].remember(name, seconds)


def _wait() -> dict[str, RunEstimate] | None:
    for process in _counting:
        process.wait()
    return _load()


def _load() -> dict[str, RunEstimate] | None:
    """The cached estimates for the current settings, by preset name; None if there are none."""
    with suppress(FileNotFoundError, KeyError):  # an older version named it otherwise
        kept = json.loads(KEPT.read_text())
        if kept["digest"] == _digest():
            return {name: _estimate(**run) for name, run in kept["runs"].items()}
    return None


def _estimate(trainings: Mapping[str, Any], others: Mapping[str, float]) -> RunEstimate:
    return RunEstimate({name: TrainingEstimate(**training) for name, training in trainings.items()}, others)


def _digest() -> str:
    """A digest of everything that the estimates depend on, except the machine."""
    catalogue = Path(params.load(params.PARAMS)["ingest"]["sources"])
    files = [params.PARAMS, catalogue, *sorted(presets.PRESETS.glob("*.yaml"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.exists())).hexdigest()


def main() -> None:
    """Estimate the current settings, and the presets that compute less."""
    from components.cost import run_estimate, sizes

    digest = _digest()
    present = params.load(params.PARAMS)
    settings = {PRESENT: present} | {name: presets.settings_of([name], present) for name in presets.names()}
    trainings = {name: sizes.of_settings(each) for name, each in settings.items()}
    flops = {name: sum(size.flops for size in each.values()) for name, each in trainings.items()}
    runs = {
        name: asdict(run_estimate.expect(settings[name], trainings[name]))
        for name in settings
        if name == PRESENT or flops[name] < flops[PRESENT]
    }
    write_atomically(KEPT, json.dumps({"digest": digest, "runs": runs}))


if __name__ == "__main__":
    stage.run("cost", main)
