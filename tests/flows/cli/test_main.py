"""The `lmforge` command, as people call it."""

import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core import params
from flows import presets, settings
from flows.cli import doctor
from tests.flows.support.running import REPOSITORY


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings and the graph of this repository, in a folder to change."""
    for name in ("params.yaml", "dvc.yaml", "presets", "requirements.lock", "components", "flows", "data", ".dvc"):
        ignore = shutil.ignore_patterns("__pycache__", "raw", "prepared", "rejected", "tokens", "cache", "tmp")
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(source, tmp_path / name)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lmforge(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    code = "import sys; from flows.cli.main import main; sys.argv[0] = 'lmforge'; main()"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "TERM": "dumb"}
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=cwd, env=env, capture_output=True, text=True)


def test_help_is_complete() -> None:
    result = lmforge("--help")
    services = ("up", "down", "status")
    for command in ("run", "plan", "register", "promote", "rollback", "chat", *services, "doctor", "preset"):
        assert re.search(rf"\b{command}\b", result.stdout)


def test_the_version_is_told_anywhere(tmp_path: Path) -> None:
    assert lmforge("--version", cwd=tmp_path).stdout == f"lmforge {importlib.metadata.version('lmforge')}\n"


def test_the_shell_can_complete_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LMFORGE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "lmforge pro")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert lmforge(cwd=tmp_path).stdout.split() == ["promote"]


def test_it_wants_a_repository(tmp_path: Path) -> None:
    result = lmforge("plan", cwd=tmp_path)
    assert result.returncode == 2
    assert (
        result.stderr == f"lmforge: no dvc.yaml in {tmp_path} or above it: go to your copy of the lmforge repository\n"
    )


def test_an_argument_that_is_not_unicode_is_one_line() -> None:
    code = "from flows.cli.main import main; main()"
    command = [os.fsencode(sys.executable), b"-c", code.encode(), b"chat", b"caf\xe9"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    assert result.returncode == 2
    assert result.stderr == rb"lmforge: 'caf\udce9' is not UTF-8 text" + b"\n"


WAIT = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, and be told to ignore it
from flows.cli import main
@main.app.command()
def wait():
    try:
        print("at work", flush=True)
        time.sleep(60)
    finally:
        print("ended in order")
sys.argv = ["lmforge", "wait"]
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAIT], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.send_signal(number)
        assert process.communicate()[0] == "ended in order\n"
    assert process.returncode == 128 + number


def test_plan_from_a_folder_below(copy: Path) -> None:
    result = lmforge("plan", cwd=copy / "flows")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    end = next(number for number, line in enumerate(lines) if line.endswith("would run"))
    stages = [line.split()[0] for line in lines[:end]]
    assert (
        stages.index("ingest") < stages.index("prepare") < stages.index("pretrain") < stages.index("package@assistant")
    )
    assert lines[0].split(maxsplit=1)[1] == "run: never run"
    assert lines[end] == f"{len(stages)} of {len(stages)} stages would run"
    trainings, total = lines[end + 1 : end + 3], lines[end + 3]
    assert [line.split()[0] for line in trainings] == ["pretrain", "finetune@assistant"]
    assert all(re.search(r"weights, .* tokens, .*FLOP: about .* tokens/s", line) for line in trainings)
    assert re.match(r"time +at most about .* on this machine: ", total)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "confidence: 0.95",
            "confidenc: 0.95",
            "evaluate.confidenc is not a known setting; did you mean `confidence`?",
        ),
        ("resamples: 1000", "resamples: 1", "evaluate.resamples is 1: should be greater than or equal to 100"),
        ("sequence_length: 256", "sequence_length: 64", "64 are free with pretrain.sequence_length (64): lower the"),
        ("\nevaluate:", "\nevaluat:", "`evaluat` is not a known section; did you mean `evaluate`?"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_bad_setting_stops_everything(copy: Path, command: str, old: str, new: str, line: str) -> None:
    path = copy / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    result = lmforge(command)
    assert result.returncode == 2
    assert line in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (copy / ".lmforge").exists(), "something was started"


def test_a_preset_keeps_comments_and_is_undone_by_laptop(copy: Path) -> None:
    path = copy / "params.yaml"
    before = path.read_text()
    assert presets.apply(["laptop"]) == [], "the default is not the preset `laptop`"
    assert path.read_text() == before
    for name in presets.names():
        expected = presets.settings_of([name], params.load(path))
        presets.apply([name])
        assert params.load(path) == expected
        settings.check()
        assert comments(path.read_text()) == comments(before)
        assert presets.apply([name]) == []
        presets.apply(["laptop"])
        assert path.read_text() == before, f"laptop does not undo {name}"


@pytest.mark.parametrize("name", ["encoder", "encoder-decoder", "translation"])
def test_presets_are_laid_one_after_the_other(copy: Path, name: str) -> None:
    result = lmforge("preset", name, "smoke")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"params.yaml now has the preset {name} and smoke"
    model = params.load(copy / "params.yaml")["pretrain"]["model"]
    assert model["architecture"] == ("encoder" if name == "encoder" else "encoder_decoder")
    assert model["hidden_size"] == 64


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


def test_an_unknown_preset_is_told_with_the_nearest(copy: Path) -> None:
    before = (copy / "params.yaml").read_text()
    result = lmforge("preset", "smok")
    assert result.returncode == 2
    assert result.stderr == "lmforge: there is no preset `smok`; did you mean `smoke`?\n"
    assert (copy / "params.yaml").read_text() == before


def test_a_preset_that_makes_no_sense_changes_nothing(copy: Path) -> None:
    (copy / "presets/odd.yaml").write_text("evaluate: {resamples: 0}\n")
    before = (copy / "params.yaml").read_text()
    result = lmforge("preset", "odd")
    assert result.returncode == 2
    assert "evaluate.resamples is 0" in result.stderr
    assert (copy / "params.yaml").read_text() == before


def test_doctor_says_what_to_do(copy: Path) -> None:
    good = lmforge("doctor")
    assert re.search(r"^ok  telemetry +off$", good.stdout, re.MULTILINE), good.stdout + good.stderr
    assert re.search(r"^ok  dvc locks +none$", good.stdout, re.MULTILINE)
    assert re.search(r"^ok  dvc record +(none|\d+ stages have run)$", good.stdout, re.MULTILINE)
    assert re.search(r"^ok  settings +params.yaml is valid$", good.stdout, re.MULTILINE)

    (copy / ".dvc/tmp").mkdir(exist_ok=True)
    (copy / ".dvc/tmp/rwlock").write_text('{"write": {"/x": {"pid": 999999999, "cmd": "dvc repro"}}, "read": {}}')
    (copy / "dvc.lock").write_text("")
    (copy / ".lmforge/mlflow").mkdir(parents=True)
    (copy / ".lmforge/mlflow/mlflow.db").write_text("no database" * 100)
    (copy / "requirements.lock").write_text("numpy==0.0.1\nprefekt==1.0\n")
    bad = lmforge("doctor")
    assert bad.returncode == 1
    assert "left by process 999999999, which is gone -> delete .dvc/tmp/rwlock" in bad.stdout
    assert "dvc.lock cannot be read -> delete dvc.lock" in bad.stdout
    assert "mlflow.db is damaged" in bad.stdout
    assert "instead of 0.0.1; prefekt missing instead of 1.0 -> pip install -r requirements.lock" in bad.stdout


def test_doctor_looks_at_the_chosen_mlflow_store(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copy / 'other.db'}")
    assert doctor.mlflow_store().seen == "no runs yet"
    (copy / "other.db").write_text("no database" * 100)
    assert "other.db is damaged" in doctor.mlflow_store().seen


def test_doctor_counts_what_is_locked() -> None:
    locked = [line for line in (REPOSITORY / doctor.LOCKED).read_text().splitlines() if "==" in line]
    assert len(locked) > 100


def test_every_section_is_checked() -> None:
    assert set(params.load(REPOSITORY / "params.yaml")) == set(settings.SECTIONS)
    for path in (REPOSITORY / "presets").glob("*.yaml"):
        assert set(YAML(typ="safe").load(path.read_text())) <= set(settings.SECTIONS)
