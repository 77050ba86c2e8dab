"""How long a run will take on this machine, told before its first stage starts.

What needs PyTorch (sizes of models, the probe of the machine) is done by a process of its own, `python -m
flows.pipeline.forecast`, while a server starts. It is kept in `.lmforge/cost.json` until a setting or a preset changes.
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
PRESENT = ""  # the settings as they are, among the names of presets

_counting: list["subprocess.Popen[bytes]"] = []


@contextmanager
def counting() -> Iterator[None]:
    """Within it what is needed is counted in the background; `lines` waits for it, and nobody else."""
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
    """How long the stale stages will take; and presets that take less, when that is long. None when all is fresh.

    Nothing when nobody counted: a run that no person started is told nothing.
    """
    stale = [each.name for each in plan.stale]
    if not stale:
        return []
    roads = _wait()
    if roads is None:
        return [f"how long it takes is not known: {stage.outcome('cost')[1]}"] if _counting else []
    names = [*stale, AFTER]
    total = estimate.total(roads[PRESENT], names)
    others = {name: estimate.total(road, road.stages) for name, road in roads.items() if name != PRESENT}
    return [estimate.foretell(roads[PRESENT], names), *estimate.quicker(total, others)]


def trainings(plan: "Plan") -> dict[str, str]:
    """Of each training that would run, by its name, what it will cost."""
    roads = _wait() if plan.stale else None
    known = roads[PRESENT].trainings if roads else {}
    return {each.name: estimate.describe(each.name, known[each.name]) for each in plan.stale if each.name in known}


def remember(name: str, seconds: float) -> None:
    """Keep how long a stage took, for the next estimate."""
    roads = _load()
    if roads is not None:
        roads[PRESENT].remember(name, seconds)


def _wait() -> dict[str, RunEstimate] | None:
    for process in _counting:
        process.wait()
    return _load()


def _load() -> dict[str, RunEstimate] | None:
    """What was counted of the present settings, by the names of presets."""
    with suppress(FileNotFoundError):
        kept = json.loads(KEPT.read_text())
        if kept["digest"] == _digest():
            return {name: _road(**road) for name, road in kept["roads"].items()}
    return None


def _road(trainings: Mapping[str, Any], others: Mapping[str, float]) -> RunEstimate:
    return RunEstimate({name: TrainingEstimate(**training) for name, training in trainings.items()}, others)


def _digest() -> str:
    """Of all that the estimates follow from, beside the machine."""
    catalogue = Path(params.load(params.PARAMS)["ingest"]["sources"])
    files = [params.PARAMS, catalogue, *sorted(presets.PRESETS.glob("*.yaml"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.exists())).hexdigest()


def main() -> None:
    """Count the present settings, and the presets that compute less."""
    from components.cost import road, sizes

    digest = _digest()
    present = params.load(params.PARAMS)
    settings = {PRESENT: present} | {name: presets.settings_of([name], present) for name in presets.names()}
    trainings = {name: sizes.of_settings(each) for name, each in settings.items()}
    flops = {name: sum(size.flops for size in each.values()) for name, each in trainings.items()}
    roads = {
        name: asdict(road.expect(settings[name], trainings[name]))
        for name in settings
        if name == PRESENT or flops[name] < flops[PRESENT]
    }
    write_atomically(KEPT, json.dumps({"digest": digest, "roads": roads}))


if __name__ == "__main__":
    stage.run("cost", main)
