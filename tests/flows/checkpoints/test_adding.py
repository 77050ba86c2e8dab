"""`lmforge checkpoint add`: from a folder or the hub into models/checkpoints, whole or not at all."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core import params
from components.core.errors import BadData, BadSettings, TryAgain
from flows.checkpoints import adding
from flows.checkpoints.adding import AddedCheckpoint
from flows.cli import checkpoint
from tests.flows.support import hub
from tests.flows.support.hub import COMMIT, REPOSITORY
from tests.support import checkpoints

ROOT = Path(__file__).parents[3]
FILES = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = checkpoints.write("llama", tmp_path_factory.mktemp("checkpoint") / "tiny")
    (folder / "optimizer.bin").write_bytes(b"not wanted")
    (folder / "onnx").mkdir()
    (folder / "onnx/config.json").write_text("{}")
    return folder


@pytest.fixture
def tree(pipeline: Path) -> Path:
    """A repository with this one's settings and no checkpoints."""
    for name in (".gitignore", "params.yaml", "data/tasks.yaml", "data/sources.yaml"):
        (pipeline / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, pipeline / name)
    return pipeline


def left(tree: Path) -> list[str]:
    return sorted(path.name for path in (tree / "models/checkpoints").glob("*") if path.name != ".gitignore")


def add(reference: Path | str, name: str | None = None) -> AddedCheckpoint:
    with adding.added(str(reference), name) as found:
        return found


def test_a_folder_is_copied_tried_and_tracked(tree: Path, written: Path) -> None:
    found = add(written)
    assert {path.name for path in (tree / "models/checkpoints/tiny").iterdir()} == FILES
    assert (found.family, found.architecture, found.window) == ("llama", "decoder", checkpoints.WINDOW)
    assert found.layers == "our own layers"
    record = YAML(typ="safe").load(tree / "models/checkpoints/tiny.dvc")
    assert record["outs"][0]["path"] == "tiny"
    assert record["meta"] == {"origin": "file:tiny"}


def test_a_recipe_starts_from_it(tree: Path, written: Path) -> None:
    checkpoint.add(str(written), "mine", "assistant")
    recipe = params.load(tree / "params.yaml")["finetune"]["assistant"]
    assert (recipe["base"], recipe["replay"]) == ("models/checkpoints/mine", 0)
    assert recipe["reads"] == "data/prepared/examples"
    assert "# Recipes: each becomes" in (tree / "params.yaml").read_text(), "comments stay"


def test_a_commit_of_the_hub_is_fetched(tree: Path, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub.served(written, monkeypatch):
        add(f"{REPOSITORY}@{COMMIT}")
    assert {path.name for path in (tree / "models/checkpoints/tiny").iterdir()} == FILES
    assert (tree / "models/checkpoints/tiny/model.safetensors").read_bytes() == (
        written / "model.safetensors"
    ).read_bytes()
    record = YAML(typ="safe").load(tree / "models/checkpoints/tiny.dvc")
    assert record["meta"] == {"origin": f"https://huggingface.co/{REPOSITORY}@{COMMIT}"}


@pytest.mark.parametrize(
    ("reference", "broken", "error", "line"),
    [
        (f"{REPOSITORY}@main", None, BadSettings, "main may become another model"),
        ("nobody/nothing@" + COMMIT, None, BadSettings, "the hub has no nobody/nothing"),
        (f"{REPOSITORY}@{'f' * 40}", None, BadSettings, f"the hub has no {REPOSITORY}@ffff"),
        (f"{REPOSITORY}@{COMMIT}", "config.json", TryAgain, "does not give"),
        ("no/such/folder", None, BadSettings, "is no folder, and no commit of the hub"),
    ],
)
def test_what_cannot_be_had_leaves_nothing(
    reference: str,
    broken: str | None,
    error: type[Exception],
    line: str,
    tree: Path,
    written: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hub.served(written, monkeypatch, broken=broken), pytest.raises(error, match=line):
        add(reference)
    assert left(tree) == []


def test_what_cannot_be_loaded_leaves_nothing(
    tree: Path, written: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = Path(shutil.copytree(written, tmp_path_factory.mktemp("damaged") / "tiny"))
    (damaged / "tokenizer.json").unlink()
    with pytest.raises(BadData, match=r"holds no tokenizer\.json"):
        add(damaged)
    (damaged / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(BadData, match="'nothing'"):
        add(damaged)
    assert left(tree) == []


def test_a_recipe_that_cannot_have_it_keeps_its_settings(tree: Path, written: Path) -> None:
    before = (tree / "params.yaml").read_text()
    with pytest.raises(BadSettings, match="no recipe `asistant`; did you mean `assistant`"):
        checkpoint.add(str(written), None, "asistant")
    broken = before.replace("vocab_size: 4096", "vocab_size: -1")
    (tree / "params.yaml").write_text(broken)
    with pytest.raises(BadSettings, match="vocab_size"):
        checkpoint.add(str(written), None, "assistant")
    assert left(tree) == []
    assert (tree / "params.yaml").read_text() == broken


def test_a_name_is_taken_once(tree: Path, written: Path) -> None:
    add(written, "mine")
    with pytest.raises(BadSettings, match="is there already"):
        add(written, "mine")
    with pytest.raises(BadSettings, match="cannot be a folder"):
        add(written, "../mine")
    assert left(tree) == ["mine", "mine.dvc"]
