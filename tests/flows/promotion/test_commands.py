"""What a person does at the command line: on the registry alone, and shown in Prefect when its server is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from components.registry import champion, ledger, store
from flows.cli import ledger_text
from flows.promotion import commands
from tests.flows.support.registry import MODEL, RECIPE
from tests.flows.support.running import REPOSITORY


def lmforge(*arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run([sys.executable, "-m", "flows.cli.main", *arguments], env=env, capture_output=True, text=True)


def test_a_rollback_needs_the_registry_alone(registry: Path) -> None:
    (registry / "dvc.yaml").touch()  # by which the command knows the folder
    result = lmforge("rollback", "--reason", "bad answers")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"rollback             {MODEL} version 1 is @champion again, version 2 is @previous\n"
    last = ledger.read()[-1]
    assert (last.kind, last.details["reason"]) == ("rollback", "bad answers")
    assert last.details["by"]

    verified = lmforge("ledger", "verify")
    assert (verified.returncode, verified.stdout) == (0, "6 entries: the ledger holds\n")
    ledger.LEDGER.write_text(ledger.LEDGER.read_text().replace("bad answers", "bed answers"))
    verified = lmforge("ledger", "verify")
    assert verified.returncode == 3
    assert verified.stdout.splitlines() == [
        "line 6: changed, or half written",
        "6 entries: the ledger does not hold",
    ]


@pytest.mark.usefixtures("registry")
def test_what_was_done_stands_among_the_runs_of_prefect(
    prefect_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{prefect_url}/api")
    commands.reject(RECIPE, 3, by="Ann of the test", reason="rude")
    commands.promote(RECIPE, 3, by="Bo of the test", reason="she agrees now", anyway=True)
    commands.rollback(RECIPE, by="Cy of the test", reason="told you")
    assert capsys.readouterr().out.splitlines() == [
        f"reject               {MODEL} version 3 is rejected: nothing is promoted",
        f"promote              {MODEL} version 3 is @champion, version 2 is @previous",
        f"rollback             {MODEL} version 2 is @champion again, version 3 is @previous",
    ]
    with temporary_settings({PREFECT_API_URL: f"{prefect_url}/api"}), get_client(sync_client=True) as client:
        states = {run.name: run.state for run in client.read_flow_runs() if "of the test" in str(run.name)}
    assert {name: state.name for name, state in states.items() if state} == {
        "promote assistant version 3: rejected by Ann of the test": "Rejected",
        "promote assistant version 3: approved by Bo of the test": "Promoted",
        "roll assistant back: Cy of the test": "RolledBack",
    }


@pytest.mark.usefixtures("registry")
def test_a_server_that_is_away_keeps_nobody_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    commands.rollback(RECIPE, by="Ann", reason="at night")
    assert store.aliases(MODEL)[store.CHAMPION] == 1


@pytest.mark.usefixtures("registry")
def test_the_ledger_in_words() -> None:
    champion.reject(MODEL, 3, "Ann", "rude\nanswers")
    lines = list(ledger_text.lines())
    assert lines[0].endswith("decision   version 1        promote: all 1 rules against the floors hold")
    assert lines[3].endswith("promotion  version 1 -> 2   the gate: better")
    assert lines[5].endswith("rejection  version 3        Ann: rude answers")
    assert [json.loads(line)["sequence"] for line in ledger_text.as_json()] == [1, 2, 3, 4, 5, 6]
