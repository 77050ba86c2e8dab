"""What the doctor sees of the registry."""

from pathlib import Path

from components import tracking
from flows import doctor


def test_a_copied_folder_is_told(made: Path, registry: Path) -> None:
    database = registry / ".lmforge/mlflow/mlflow.db"
    before = database.read_bytes()
    told = doctor.mlflow_store()
    assert told.good
    assert f"moved or copied from {made / '.lmforge/mlflow'}" in told.seen
    assert database.read_bytes() == before, "the doctor only looks"
    tracking.uri()
    assert "moved" not in doctor.mlflow_store().seen
