"""Which version is pinned for which data: the champion for new ones, and for the same data the same one."""

import json
from pathlib import Path

import pytest

from components.core import params, start
from components.core.errors import BadData, BadSettings
from components.core.start import Start
from components.lineage import continuation
from components.lineage.snapshot import OUTS, SOURCES, START
from components.registry import store
from components.registry.store import Version
from tests.components.support import tiny

REPOSITORY = Path(__file__).parents[3]
FOLDERS = {
    "models/tokenizer": ["tokenizer.json"],
    "data/tokens": ["lookup.npy", "manifest.json", "train/part-00000.bin"],
    "models/pretrained": ["config.json", "model.safetensors"],
    "models/finetuned/RECIPE": ["config.json", "model.safetensors"],
}
TAKEN = {
    "tokenizer/tokenizer.json",
    "read/lookup.npy",
    "read/manifest.json",
    "base/config.json",
    "base/model.safetensors",
    "finetuned/RECIPE/config.json",
    "finetuned/RECIPE/model.safetensors",
}


class Tree:
    """A repository's files, and a registry of its own under the name of a test's model."""

    def __init__(self, model: str, package: Path) -> None:
        self.model, self.recipe, self._package = model, model.removeprefix("lmforge-"), package
        self.root = Path.cwd()
        (self.root / "data").mkdir()
        (self.root / "data/sources.yaml").write_text("sources: []\n")
        text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
        self._params = {
            False: text,
            True: text.replace("\npretrain:\n", "\npretrain:\n  start: champion\n  replay: 0.5\n"),
        }
        self.goes_on(weights=False)
        self.arrives("first")

    def goes_on(self, *, weights: bool) -> None:
        (self.root / params.PARAMS).write_text(self._params[weights], encoding="utf-8")

    def arrives(self, *texts: str) -> None:
        (self.root / "data/listing.json").write_text(json.dumps({"notes": dict.fromkeys(texts, "sha256")}))

    def follow(self) -> Start | None:
        return continuation.follow(self.root, self.model)

    def registers(self, number: int) -> Version:
        """Register what a run of this tree would, as the champion."""
        outs = {}
        for out, names in FOLDERS.items():
            files = {name: f"{out} {name} {number}" for name in names}
            outs[out.replace("RECIPE", self.recipe)] = {"md5": f"{number}.dir", "files": files}
        kept = {name: (self.root / name).read_bytes() for name in ("params.yaml", "data/listing.json")}
        pinned = self.root / start.PIN
        lineage = {
            "params.yaml": kept["params.yaml"],
            "listing.json": kept["data/listing.json"],
            SOURCES: (self.root / "data/sources.yaml").read_bytes(),
            START: pinned.read_bytes() if pinned.exists() else b"{}",
            OUTS: json.dumps(outs).encode(),
        }
        package = tiny.vary(self._package, self.root / f"package-{number}", number)
        version = store.register(package, self.model, {}, lineage)
        champion: dict[str, int | None] = {"previous": None, "champion": version.number, "challenger": None}
        store.move(self.model, champion)
        return version


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
