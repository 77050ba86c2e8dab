"""`lmforge export` keeps an export with its version."""

import json
from pathlib import Path

import pytest
from mlflow.artifacts import list_artifacts

from components import tracking
from components.core.files import sha256
from components.registry import store
from flows.cli import export
from tests.components.support import tiny


def test_the_export_of_a_version_is_its_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "params.yaml").write_text("finetune: {tiny: {}}\n")
    model = tiny.make_model(tmp_path / "model", seed=0)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "scores.json").write_text(json.dumps(tiny.scores()))
    data = tiny.make_data(tmp_path / "data" / "prepared")
    version = store.register(
        tiny.make_package(tmp_path / "package", model, tmp_path / "reports", data), "lmforge-tiny", {}
    )
    export.export("safetensors", "1", texts=100)
    folder = Path("exports/lmforge-tiny-1/safetensors")
    assert f"{folder} is proved" in capsys.readouterr().out
    assert store.notes(version)["export.safetensors"] == sha256(folder / "proof.json")
    source = tracking.client().get_model_version(version.name, "1").source
    kept = list_artifacts(f"{source}/exports/safetensors", tracking_uri=tracking.client().tracking_uri)
    assert {Path(file.path).name for file in kept} == {file.name for file in folder.iterdir()}
