"""Which version is pinned for which data: the champion for new ones, and for the same data the same one."""

import json
from pathlib import Path

import pytest

from components.core import start
from components.core.errors import BadData, BadSettings
from components.lineage import continuation
from tests.components.support.growing import Tree

TAKEN = {
    "tokenizer/tokenizer.json",
    "read/lookup.npy",
    "read/manifest.json",
    "base/config.json",
    "base/model.safetensors",
    "finetuned/RECIPE/config.json",
    "finetuned/RECIPE/model.safetensors",
}


@pytest.fixture
def tree(request: pytest.FixtureRequest, folder: Path, mlflow_store: str, tiny_package: Path) -> Tree:  # noqa: ARG001
    return Tree(f"lmforge-{request.node.name}", tiny_package)


def test_new_text_goes_on_from_the_champion_and_the_same_text_from_the_same_version(tree: Tree) -> None:
    assert tree.follow() is None
    first = tree.registers(1)
    tree.goes_on(weights=True)
    tree.arrives("first", "second")
    pinned = tree.follow()
    assert pinned is not None
    assert (pinned.version, pinned.digest, pinned.has_weights) == (first.number, first.digest, True)
    assert set(pinned.files) == {name.replace("RECIPE", tree.recipe) for name in TAKEN}
    assert pinned.files["base/model.safetensors"] == "models/pretrained model.safetensors 1"
    second = tree.registers(2)
    assert tree.follow() == pinned, "its own model became the champion: nothing changes"
    start.write(None)
    assert tree.follow() == pinned, "a worktree that knows nothing comes to the same"
    tree.arrives("first", "second", "third")
    later = tree.follow()
    assert later is not None
    assert later.version == second.number
    assert start.read() == later


def test_with_nothing_new_or_no_champion_it_is_told(tree: Tree) -> None:
    tree.goes_on(weights=True)
    with pytest.raises(BadSettings, match=r"pretrain\.start is champion, but lmforge-.* has none: train one"):
        tree.follow()
    tree.goes_on(weights=False)
    tree.registers(1)
    tree.goes_on(weights=True)
    with pytest.raises(BadData, match=r"nothing is new: lmforge-.* version 1, the champion, was made from these very"):
        tree.follow()
    assert start.read() is None


def test_at_random_weights_the_tokenizer_is_pinned_for_new_text_alone(tree: Tree) -> None:
    first = tree.registers(1)
    assert tree.follow() is None
    tree.arrives("first", "second")
    pinned = tree.follow()
    assert pinned is not None
    assert pinned.version == first.number
    assert set(pinned.files) == {"tokenizer/tokenizer.json", "read/manifest.json"}
    text = (tree.root / "params.yaml").read_text()
    (tree.root / "params.yaml").write_text("\n".join(line for line in text.split("\n") if "retrain_below" not in line))
    assert tree.follow() is None
    assert json.loads(start.PIN.read_text()) == {}


def test_a_version_is_pinned_by_hand_whatever_it_has_read(tree: Tree) -> None:
    first = tree.registers(1)
    tree.registers(2)
    tree.goes_on(weights=True)
    assert continuation.pin(tree.root, first).version == first.number
    found = start.read()
    assert found is not None
    assert found.version == first.number
    assert found.has_weights
