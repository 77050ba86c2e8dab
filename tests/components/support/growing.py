"""A repository whose data grow, and the versions that runs in it would register."""

import json
from pathlib import Path

from components.core import params, start
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
