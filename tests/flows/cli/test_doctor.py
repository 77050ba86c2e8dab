"""What the doctor sees of the registry."""

import shutil
from pathlib import Path

import pytest

from components import tracking
from components.core.errors import BadData
from components.registry import store
from flows.cli import doctor
from tests.flows.support.registry import MODEL


def test_a_copied_folder_is_told(made: Path, registry: Path) -> None:
    database = registry / ".lmforge/mlflow/mlflow.db"
    before = database.read_bytes()
    told = doctor.mlflow_store()
    assert told.good
    assert f"moved or copied from {made / '.lmforge/mlflow'}" in told.seen
    assert database.read_bytes() == before, "the doctor only looks"
    tracking.uri()
    assert "moved" not in doctor.mlflow_store().seen


@pytest.mark.usefixtures("registry")
def test_a_champion_that_is_lost_is_told() -> None:
    assert doctor.champion(MODEL).seen == f"{MODEL} version 2"
    for files in Path(".lmforge/mlflow/artifacts/models").iterdir():
        shutil.rmtree(files)
    told = doctor.champion(MODEL)
    assert told.seen == f"the files of {MODEL} @champion (version 2) and @previous (version 1) are gone"
    assert "restore .lmforge/mlflow/artifacts" in told.advice
    with pytest.raises(BadData, match="the files of lmforge-assistant version 2 are gone"):
        store.fetch(MODEL, store.CHAMPION)
    tracking.client().delete_model_version(MODEL, "2")
    told = doctor.champion(MODEL)
    assert told.seen == f"{MODEL} version 2 was @champion, and the registry has it no more"
    assert "`lmforge rollback`" in told.advice
