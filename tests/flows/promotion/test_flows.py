"""From a package to the champion and back, with real models, a real registry and a real Prefect server."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect import flow
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL, temporary_settings
from ruamel.yaml import YAML

from components.core import params
from components.core.errors import BadData, BadSettings
from components.evaluation.evaluation import evaluate
from components.evaluation.settings import Evaluate
from components.registry import ledger, store, transaction
from components.registry.decision import Decision
from components.registry.store import Version
from flows.promotion import flows
from tests.components.support import tiny
from tests.flows.support import toy

MODEL = Path("models/finetuned/assistant")
REPORTS = Path("reports/evaluation/assistant")
NAME = "lmforge-assistant"
EVALUATION = {
    "max_bytes_per_source": 500,
    "max_examples": 8,
    "tokens_per_batch": 512,
    "max_new_tokens": 4,
    "repetition_penalty": 1.2,
    "verbatim_documents": 4,
    "verbatim_prompt": 8,
    "verbatim_tokens": 4,
    "samples": 1,
    "resamples": 100,
    "confidence": 0.95,
    "seed": 0,
}
GATE = {
    "max_bits_per_byte": 100.0,
    "max_slice_bits_per_byte": 100.0,
    "min_margin": -1.0,
    "min_gain": 0.0,
    "min_documents": 2,
    "max_verbatim": 1.0,
    "max_personal_data": 1.0,
    "max_slowdown": 100.0,
    "max_growth": 10.0,
    "lineage": "reported",
    "confidence": 0.95,
    "resamples": 200,
    "seed": 0,
    "approval": "none",
}
RECIPES: dict[str, object] = {"assistant": {}}
RETRAINING = params.load(Path(__file__).parents[3] / params.PARAMS)["retraining"]


@pytest.fixture
def trained(tmp_path: Path, prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository after a run: data, a model, its reports and package. It is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    outs = ["data/prepared", "models/tokenizer", str(MODEL), "models/package/assistant"]
    YAML().dump(
        {"stages": {"all": {"cmd": "make", "outs": [{"path": out, "md5": "0"} for out in outs]}}}, Path("dvc.lock")
    )
    YAML().dump({"finetune": RECIPES, "gate": GATE, "evaluate": EVALUATION}, Path("params.yaml"))
    subprocess.run(["git", "init", "--quiet"], check=True)
    toy.dvc(tmp_path, "init", "--quiet")
    Path(".gitignore").write_text("/.lmforge/\n/data/\n/models/\n/reports/\n")
    subprocess.run(["git", "add", "params.yaml"], check=True)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, "commit", "--quiet", "-m", "first"], check=True)
    tiny.make_data(Path("data/prepared"))
    tiny.place_definitions(tmp_path)
    train(seed=1)
    with temporary_settings({PREFECT_API_URL: f"{prefect_url}/api"}):
        yield tmp_path


def train(seed: int) -> None:
    """Leave what a run leaves: another seed gives other weights."""
    for folder in (MODEL, Path("models/finetuned/assistant-corpus"), Path("models/package"), REPORTS):
        shutil.rmtree(folder, ignore_errors=True)
    tiny.make_model(MODEL, seed)
    evaluate(MODEL, Evaluate(**EVALUATION), "assistant").write(REPORTS)  # type: ignore[arg-type]
    tiny.make_package(Path("models/package/assistant"), MODEL, REPORTS, Path("data/prepared"))


@flow
def release() -> tuple[Version, Decision]:
    version = flows.register_model("assistant")
    decision = flows.gate_model(version)
    flows.promote_model(version, decision)
    return version, decision


def test_a_model_is_promoted_kept_out_and_brought_back(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version, decision = release()
    assert (version.number, decision.promote, decision.against) == (1, True, "floors")
    assert store.aliases(NAME) == {"champion": 1}
    assert store.notes(version)["flow_run"] != "by hand"

    # Nothing changed: the same version, which is champion already.
    again, decision = release()
    assert (again, decision.promote, decision.against) == (version, False, "itself")
    assert "it is the champion already" in capsys.readouterr().out

    # A model that is worse: both were drawn at random.
    train(seed=0)
    other, decision = release()
    assert (other.number, decision.promote, decision.against) == (2, False, "champion")
    assert store.aliases(NAME) == {"champion": 1, "challenger": 2}
    assert "@champion stays version 1" in capsys.readouterr().out
    artifact = Artifact.get("gate-assistant")
    assert artifact is not None
    assert "| change in bits per byte |" in str(artifact.data)

    # The same inputs give the same decision, without scoring the champion again: its data may even be gone.
    shutil.rmtree(trained / "data")
    assert release() == (other, decision)

    # By hand: no more than the gate let pass, unless somebody says so.
    with pytest.raises(BadData, match="the gate keeps version 2 out"):
        flows.promote(2, by="Ann", reason="I like it")
    flows.promote(2, by="Ann", reason="I like it", anyway=True)
    assert store.aliases(NAME) == {"champion": 2, "previous": 1}
    flows.promote(2, by="Ann", reason="I like it")
    assert "version 2 is @champion already: nothing to do" in capsys.readouterr().out
    flows.rollback(by="Bo", reason="I do not")
    assert store.aliases(NAME) == {"champion": 1, "previous": 2}

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
        tasks = {run.name for run in client.read_task_runs()}
    assert {"register assistant", "gate assistant", "promote assistant"} <= tasks
    ends = {(run.name, run.state.name, run.state.message) for run in runs if run.state}
    approved = "promote assistant version 2: approved by Ann"
    assert ends >= {
        (approved, "Promoted", f"{NAME} version 2 is @champion, version 1 is @previous"),
        (approved, "Promoted", f"{NAME} version 2 is @champion already: nothing to do"),
        ("roll assistant back: Bo", "RolledBack", f"{NAME} version 1 is @champion again, version 2 is @previous"),
    }
    assert [entry.kind for entry in ledger.read()] == [
        *("decision", "promotion"),
        "decision",
        *("approval", "promotion"),
        "rollback",
    ]
    assert transaction.examine([NAME]).faults == []


@pytest.mark.usefixtures("trained")
def test_a_version_waits_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    YAML().dump(
        {"finetune": RECIPES, "gate": GATE | {"approval": "required"}, "evaluate": EVALUATION}, Path("params.yaml")
    )
    version, _ = release()
    assert store.aliases(NAME) == {"challenger": 1}
    assert store.notes(version)["approval"] == "pending"
    assert "version 1 waits for approval: `lmforge promote 1 --reason ...`, or a run of" in capsys.readouterr().out
    assert release()[0] == version
    flows.promote(1, by="Ann", reason="rude", verdict="reject")
    assert store.aliases(NAME) == {"challenger": 1}
    assert release()[0] == version
    assert "rejected by Ann" in capsys.readouterr().out.splitlines()[-1]
    state = flows.promote(1, by="Bo", reason="fine", return_state=True)
    assert (state.type, state.name) == (StateType.COMPLETED, "Rejected")
    assert re.fullmatch(r"version 1 was rejected by Ann on .* \(rude\): nothing is promoted", str(state.message))
    flows.promote(1, by="Bo", reason="she agrees now", anyway=True)
    assert store.aliases(NAME) == {"champion": 1}
    assert [entry.kind for entry in ledger.read()] == ["decision", "rejection", "approval", "promotion"]


@pytest.mark.usefixtures("trained")
def test_there_is_time_to_object(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = {
        "finetune": RECIPES,
        "gate": GATE,
        "evaluate": EVALUATION,
        "retraining": RETRAINING | {"veto_minutes": 60},
    }
    YAML().dump(definition, Path("params.yaml"))
    RunnerDeployment.from_entrypoint("flows.promotion.flows.promote", name="promote").apply()
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "as when a deployment runs")
    before = datetime.now(UTC)
    version, _ = release()
    release()
    with get_client(sync_client=True) as client:
        waiting = [run for run in client.read_flow_runs() if run.name == "promote assistant version 1 unless rejected"]
    (run,) = waiting
    assert run.next_scheduled_start_time
    assert timedelta(minutes=59) < run.next_scheduled_start_time - before < timedelta(minutes=62)
    assert store.aliases(NAME) == {"challenger": 1}
    assert store.notes(version)["approval"].endswith(" unless rejected")

    # Nobody objects.
    flows.promote(**run.parameters)
    assert store.aliases(NAME) == {"champion": 1}
    _, approval, _ = ledger.read()
    assert approval.details["by"] == "the gate"
    assert approval.details["reason"].startswith("nobody objected within 60 minutes; promote: all ")


@pytest.mark.usefixtures("trained")
def test_what_is_not_there_is_told() -> None:
    with pytest.raises(BadSettings, match="has no @previous"):
        flows.rollback(by="Ann", reason="panic")
    with pytest.raises(BadSettings, match="the registry has no lmforge-assistant 7; it has no alias yet"):
        flows.promote(7, by="Ann", reason="lucky number")
    with pytest.raises(ParameterTypeError):
        flows.promote(7, by="Ann", reason="")
    shutil.rmtree("models/package")
    with pytest.raises(BadData, match=r"models/package/assistant is not there: run the pipeline first"):
        flows.register("assistant")
