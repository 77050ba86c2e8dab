"""What two versions scored, and by how much they differ on what both were asked."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.core.errors import BadData
from components.core.files import write_json
from components.lineage.difference import scores
from components.lineage.snapshot import Kept

EVALUATE = {"resamples": 200, "seed": 1, "confidence": 0.95}


def kept(folder: Path, answers: dict[str, list[float]]) -> Kept:
    """A version that was asked to name entities; half of the examples have nine times the entities of the others."""
    folder.mkdir()
    rows = {"task": ["entities"] * 40, "example": [f"{n}" for n in range(40)], **answers}
    pq.write_table(pa.table(rows), folder / "predictions.parquet")
    write_json(folder / "scores.json", {"tasks": {"entities": {"value": 0.5, "low": 0.4, "high": 0.6}}})
    (folder / "params.yaml").write_text(yaml.safe_dump({"evaluate": EVALUATE}))
    return Kept(folder)


def test_a_change_in_entity_f1_is_that_of_the_sums(tmp_path: Path) -> None:
    old = kept(tmp_path / "old", {"score": [0.0] * 40, "weight": [1.0, 9.0] * 20})
    new = kept(tmp_path / "new", {"score": [0.0, 1.0] * 20, "weight": [1.0, 9.0] * 20})
    (found,) = scores(old, new)
    assert (found.name, found.shared) == ("entities", 40)
    assert found.change is not None
    assert found.change.value == pytest.approx(0.9)


def test_predictions_of_an_older_version_are_refused_by_name(tmp_path: Path) -> None:
    old = kept(tmp_path / "old", {"score": [0.0] * 40})
    with pytest.raises(BadData, match=r"predictions\.parquet lacks weight: an older lmforge registered the version"):
        list(scores(old, old))
