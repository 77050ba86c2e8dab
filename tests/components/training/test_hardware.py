"""What the machine can do."""

from pathlib import Path

import pytest
import torch

from components.training import hardware
from tests.components.training.sizes import optimization


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no C++ compiler")
@pytest.mark.parametrize(("folder", "able"), [("plain", True), ("with a space", False)])
def test_it_compiles_where_pytorch_can(
    folder: str, able: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch gives the compiler paths without quotes."""
    compiler = tmp_path / "g++"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    assert hardware.compiles(optimization(compile="auto"), torch.device("cpu")) is able


@pytest.mark.parametrize(("setting", "compiles"), [("always", True), ("never", False)])
def test_the_setting_has_the_last_word(setting: str, compiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert hardware.compiles(optimization(compile=setting), torch.device("cpu")) is compiles
