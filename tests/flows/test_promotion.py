"""From a package to the champion and back, with real models, a real registry and a real Prefect server."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from ruamel.yaml import YAML

from components.evaluation.evaluate import evaluate
from components.evaluation.settings import Evaluate
from components.registry import store
from components.registry.gate import Decision
from components.registry.store import Version
from components.stage import BadData, BadSettings
from flows import promotion
from tests.components.registry import tiny

MODEL = Path("models/finetuned/assistant")
REPORTS = Path("reports/evaluation/assistant")
NAME = "lmforge-assistant"
EVALUATION = {
    "max_bytes_per_source": 500,
    "max_examples": 8,
    "max_example_tokens": 90,
    "tokens_per_batch": 512,
    "max_new_tokens": 4,
    "repetition_penalty": 1.2,
    "samples": 1,
    "resamples": 100,
    "confidence": 0.95,
    "seed": 0,
}
GATE = {
    "max_bits_per_byte": 100.0,
    "min_margin": -1.0,
    "min_gain": 0.0,
    "confidence": 0.95,
    "resamples": 200,
    "seed": 0,
}


@pytest.fixture
def trained(tmp_path: Path, prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository after a run: data, a model, its reports and package. It is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    outs = ["data/prepared", "models/tokenizer", str(MODEL)]
    YAML().dump({"stages": {"all": {"outs": [{"path": out, "md5": "0"} for out in outs]}}}, Path("dvc.lock"))
    YAML().dump({"gate": GATE, "evaluate": EVALUATION}, Path("params.yaml"))
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "params.yaml"], check=True)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, "commit", "--quiet", "-m", "first"], check=True)
    tiny.make_data(Path("data/prepared"))
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
    version = promotion.register_model("assistant")
    decision = promotion.gate_model(version)
    promotion.promote_model(version, decision)
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
    artifact = Artifact.get("gate")
    assert artifact is not None
    assert "| bits per byte, change |" in str(artifact.data)

    # The same inputs give the same decision, without scoring the champion again: its data may even be gone.
    shutil.rmtree(trained / "data")
    assert release() == (other, decision)

    # By hand.
    promotion.promote(2)
    assert store.aliases(NAME) == {"champion": 2, "previous": 1}
    promotion.promote(2)
    assert "version 2 is @champion already: nothing to do" in capsys.readouterr().out
    promotion.rollback()
    assert store.aliases(NAME) == {"champion": 1, "previous": 2}

    with get_client(sync_client=True) as client:
        flows = {run.name for run in client.read_flow_runs()}
        tasks = {run.name for run in client.read_task_runs()}
    assert {"promote assistant version 2", "roll assistant back"} <= flows
    assert {"register", "gate", "promote"} <= tasks


@pytest.mark.usefixtures("trained")
def test_what_is_not_there_is_told() -> None:
    with pytest.raises(BadSettings, match="has no @previous"):
        promotion.rollback()
    with pytest.raises(BadSettings, match="the registry has no lmforge-assistant 7; it has no alias yet"):
        promotion.promote(7)
    shutil.rmtree("models/package")
    with pytest.raises(BadData, match=r"models/package/assistant is not there: run the pipeline first"):
        promotion.register("assistant")
