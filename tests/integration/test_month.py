"""A month of daily runs: better and worse models, days without a change, failures, two rollbacks.

Whatever the gate says of a model that learned for seconds, the ledger tells the same story as the registry, day by day.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.support.working_copy import WorkingCopy, copy

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("month")]

DAYS = 30
ROLLBACKS = (12, 24)
BAD_SETTING, BAD_DATA = (7, 19), (15, 27)  # days that fail, with 2 and with 3
QUIET = (5, 21)  # nothing changed since the day before


@dataclass(frozen=True)
class Day:
    """How a day ended: the exit code of its command, and the champion then."""

    code: int
    champion: int | None


@pytest.fixture(scope="module")
def month(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkingCopy, list[Day]]]:
    road = copy(fresh, tmp_path_factory.mktemp("month") / "lmforge")
    road.run("flows.cli.main", "up")
    try:
        yield road, [_live(road, day) for day in range(1, DAYS + 1)]
    finally:
        road.run("flows.cli.main", "down")


def _live(road: WorkingCopy, day: int) -> Day:
    """One day: a change for better or worse, the run, and what came of it."""
    params = road.folder / "params.yaml"
    if day in ROLLBACKS:
        code = _code(road, "rollback", "--reason", f"complaints on day {day}", "--by", "Ann")
    elif day in BAD_SETTING:
        code = _with(road, params, "batch_size: 4", "batch_size: -4")
    elif day in BAD_DATA:
        code = _with(road, params, "min_rows_per_source: 1", "min_rows_per_source: 1000000")
    else:
        if day not in QUIET:
            _set_training(params, steps=20 + 4 * day if day % 3 else 8, seed=day)
        code = _code(road, "run")
    print(f"day {day}: exit code {code}, champion {_champion(road)}", flush=True)
    return Day(code, _champion(road))


def _set_training(params: Path, steps: int, seed: int) -> None:
    """Let fine-tuning take so many steps: on every third day too few."""
    yaml = YAML()
    content = yaml.load(params)
    content["finetune"]["assistant"]["optimization"].update(steps=steps, seed=seed)
    yaml.dump(content, params)


def _with(road: WorkingCopy, params: Path, old: str, new: str) -> int:
    """A run with a wrong setting, which is set right again afterwards."""
    before = params.read_text()
    road.change("params.yaml", old, new)
    code = _code(road, "run")
    params.write_text(before)
    return code


def _code(road: WorkingCopy, *arguments: str) -> int:
    process = road.start("flows.cli.main", *arguments)
    process.communicate(timeout=600)
    return process.returncode


def _champion(road: WorkingCopy) -> int | None:
    program = "from components.registry import store; print(store.aliases('lmforge-assistant').get('champion', 0))"
    found = subprocess.run([sys.executable, "-c", program], cwd=road.folder, check=True, capture_output=True, text=True)
    return int(found.stdout) or None


def test_each_day_ends_as_it_should(month: tuple[WorkingCopy, list[Day]]) -> None:
    _, days = month
    wanted = {**dict.fromkeys(BAD_SETTING, 2), **dict.fromkeys(BAD_DATA, 3)}
    assert {number: day.code for number, day in enumerate(days, 1)} == {
        number: wanted.get(number, 0) for number in range(1, DAYS + 1)
    }


def test_champions_come_and_go(month: tuple[WorkingCopy, list[Day]]) -> None:
    road, days = month
    champions = [day.champion for day in days]
    assert champions[0] == 1
    assert len(set(champions)) >= 3, "no model was ever better than the champion"
    for day in ROLLBACKS:
        assert champions[day - 1] != champions[day - 2], f"day {day} did not roll back"
    for day in (*BAD_SETTING, *BAD_DATA, *QUIET):
        assert champions[day - 1] == champions[day - 2], f"day {day} moved the champion"
    kept = [entry for entry in _ledger(road) if entry["kind"] == "decision" and not entry["details"]["promote"]]
    assert kept, "no model was ever kept back"


def test_the_ledger_tells_the_same(month: tuple[WorkingCopy, list[Day]]) -> None:
    road, days = month
    assert "the ledger holds" in road.run("flows.cli.main", "ledger", "verify")
    told = [entry["details"]["version"] for entry in _ledger(road) if entry["kind"] in ("promotion", "rollback")]
    seen = [day.champion for day in days]
    changes = [now for before, now in zip([None, *seen], seen, strict=False) if now != before]
    assert told == changes


def _ledger(road: WorkingCopy) -> list[dict[str, Any]]:
    return [json.loads(line) for line in road.run("flows.cli.main", "ledger", "--json").splitlines()]
