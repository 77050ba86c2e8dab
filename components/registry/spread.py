"""How much the seed alone changes the result of a training run: measured by `lmforge noise`, used by the gate."""

import hashlib
import json
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.core import params
from components.core.files import STATE, write_atomically
from components.core.recipe import BASE

FOLDER = STATE / "noise"
SECTIONS = ("ingest", "prepare", "tokenizer", "encode", "pretrain")  # and the recipe
TELL = "`lmforge noise`"


@dataclass(frozen=True)
class Spread:
    """Bits per byte of the same documents after training runs that differ in their seed alone; `note` is a summary."""

    note: str
    bits_per_byte: tuple[float, ...] = ()  # one per seed; fewer than two give no deviation
    steps: int = 0  # at most, of the pretraining and of the fine-tuning

    @property
    def known(self) -> bool:
        """Whether there is a standard deviation."""
        return len(self.bits_per_byte) > 1

    @property
    def deviation(self) -> float:
        """The standard deviation of a training run, in bits per byte, estimated with n - 1."""
        return statistics.stdev(self.bits_per_byte)

    def half_width(self, confidence: float) -> float:
        """Half of the interval of the difference between two training runs due to their seeds, in bits per byte.

        t * sqrt(2) * s: both have the variance s^2, and t is the quantile (1 + confidence) / 2 of Student's t with
        n - 1 degrees of freedom, as s comes from n seeds. Exact for normal differences, including the uncertainty
        of the measurement (https://www.itl.nist.gov/div898/handbook/eda/section3/eda352.htm).
        """
        from scipy.stats import t  # 0.5 s, which a gate without a measurement saves

        return float(t.ppf((1 + confidence) / 2, len(self.bits_per_byte) - 1)) * math.sqrt(2) * self.deviation


@dataclass(frozen=True)
class NoiseRecord:
    """The measurements so far, for the settings and data of its key."""

    steps: int  # at most, of each training
    bits_per_byte: dict[int, float]  # by seed

    def with_seed(self, seed: int, bits: float) -> "NoiseRecord":
        """A copy with one more measurement."""
        return replace(self, bits_per_byte={**self.bits_per_byte, seed: bits})

    def write(self, key: str) -> None:
        """Write it to `.lmforge/noise/<key>.json`."""
        content = {"steps": self.steps, "bits_per_byte": self.bits_per_byte}
        write_atomically(FOLDER / f"{key}.json", json.dumps(content, indent=2) + "\n")


def key(recipe: str, path: Path = params.PARAMS) -> str:
    """sha256 of what a measurement is valid for: the settings of data and training without seeds, and the sources.

    Of the data the catalogue counts, with its pinned versions, not the rows: otherwise new rows from the same sources
    would invalidate every measurement on the night after it.
    docs/decisions.md, "The spread of seeds belongs to settings and sources, not to rows"
    """
    content = params.load(path)
    settings: dict[str, Any] = {name: content[name] for name in SECTIONS if name in content}
    settings |= {"finetune": content["finetune"][recipe]} if recipe != BASE else {}
    for stage in {"pretrain", "finetune"} & settings.keys():
        optimization = {name: value for name, value in settings[stage]["optimization"].items() if name != "seed"}
        settings[stage] = settings[stage] | {"optimization": optimization}
    total = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    total.update(Path(content["ingest"]["sources"]).read_bytes())
    return total.hexdigest()


def read(key: str) -> NoiseRecord | None:
    """The measurements for a key."""
    path = FOLDER / f"{key}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return NoiseRecord(content["steps"], {int(seed): bits for seed, bits in content["bits_per_byte"].items()})


def find(recipe: str) -> Spread:
    """The spread for the current settings and data."""
    if not any(FOLDER.glob("*.json")):
        return Spread(f"not measured ({TELL})")
    record = read(key(recipe))
    if record is None:
        return Spread(f"measured for other settings or data, so not counted ({TELL})")
    bits = tuple(record.bits_per_byte.values())
    if len(bits) < 2:
        return Spread(f"measured with a single seed, which says nothing ({TELL})")
    note = f"{len(bits)} seeds of {record.steps} steps, standard deviation {statistics.stdev(bits):.4f}"
    return Spread(note, bits, record.steps)
