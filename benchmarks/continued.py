"""Going on from the champion with new text, beside a training from zero on the same text.

    python -m benchmarks.continued [--without factbook] [--preset laptop]

In copies of this repository: a champion is trained without one source, some 5% of the text; then the source is added,
and one copy goes on from the champion while another one trains from zero. Both are measured from the command to the
gate's verdict, stage by stage, and compared in bits per byte of the same test documents. The seconds of stages that do
not learn are the same for both. The last line is one JSON object.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
DONE = re.compile(r"^(\S+) +done in (\d+) s$", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """A run up to the gate's verdict: seconds by the clock and of processors, and what came of it."""

    seconds: float
    processor_seconds: float
    stages: dict[str, int]
    bits_per_byte: float
    base_bits_per_byte: float
    verdict: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", default="factbook", help="the source that arrives later")
    parser.add_argument("--preset", default="laptop", help="of the training from zero")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        champion = checkout(folder / "champion", arguments.preset, arguments.without)
        show("champion", run(champion))
        (champion / catalogue(champion)).write_bytes((ROOT / catalogue(champion)).read_bytes())
        shutil.copytree(champion, folder / "zero", symlinks=True)
        lmforge(champion, "preset", arguments.preset, "go-on")
        continued, zero = run(champion), run(folder / "zero")
        share = new_share(champion)
    show("on from the champion", continued)
    show("from zero", zero)
    ratio, gap = continued.seconds / zero.seconds, continued.base_bits_per_byte - zero.base_bits_per_byte
    print(
        f"{share:.1%} of the text is new: {ratio:.2f} of the time, {gap:+.4f} bits per byte of the base, "
        f"{continued.bits_per_byte - zero.bits_per_byte:+.4f} of the assistant"
    )
    print(json.dumps({"new": share, "ratio": ratio, "gap": gap, "continued": vars(continued), "zero": vars(zero)}))


def checkout(folder: Path, preset: str, without: str) -> Path:
    """A copy of the repository with a preset, and without one source; it shares this one's downloads."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".lmforge").mkdir()
    if (ROOT / ".lmforge/downloads").exists():
        shutil.copytree(ROOT / ".lmforge/downloads", folder / ".lmforge/downloads")
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "benchmark"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    lmforge(folder, "preset", preset)
    yaml, path = YAML(), folder / catalogue(folder)
    content = yaml.load(path)
    content["sources"] = [source for source in content["sources"] if source["name"] != without]
    yaml.dump(content, path)
    return folder


def catalogue(folder: Path) -> str:
    """The path of the catalogue of sources that a copy reads."""
    return str(YAML(typ="safe").load(folder / "params.yaml")["ingest"]["sources"])


def run(folder: Path) -> Result:
    """Run the pipeline in a copy."""
    began, before = time.perf_counter(), _used()
    output = lmforge(folder, "run")
    seconds, used = time.perf_counter() - began, _used() - before
    scores = {
        name: json.loads((folder / f"reports/evaluation/{name}/scores.json").read_text())["bits_per_byte"]["all"]
        for name in ("assistant", "base")
    }
    verdict = next(line for line in output.splitlines() if line.startswith(("promote: ", "keep: ")))
    stages = {name: int(taken) for name, taken in DONE.findall(output)}
    return Result(seconds, used, stages, scores["assistant"]["value"], scores["base"]["value"], verdict)


def lmforge(folder: Path, *arguments: str) -> str:
    """A command in a copy; ends the benchmark when it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=kept | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def new_share(folder: Path) -> float:
    """The share of the training text, in bytes, that was new to the champion."""
    shards = json.loads((folder / "data/tokens/manifest.json").read_text())["shards"]
    sizes = [(shard["bytes"], shard["new"]) for shard in shards if shard["split"] == "train"]
    return sum(size for size, new in sizes if new) / sum(size for size, _ in sizes)


def show(name: str, result: Result) -> None:
    """One line about a run, and one about its stages."""
    print(
        f"{name}: {result.seconds:.0f} s ({result.processor_seconds:.0f} s of processors), "
        f"{result.base_bits_per_byte:.4f} bits per byte of the base, {result.bits_per_byte:.4f} of the assistant; "
        f"{result.verdict}"
    )
    print("  " + ", ".join(f"{stage} {seconds} s" for stage, seconds in result.stages.items()), flush=True)


def _used() -> float:
    """Processor seconds of all finished children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
