"""What the machine can do."""

import os
import shlex
import tempfile
from pathlib import Path

import pytest
import torch
from torch._inductor import cpp_builder
from torch._inductor.cpu_vec_isa import invalid_vec_isa
from torch.utils import cpp_extension

from components.training.engine import hardware
from tests.components.support.sizes import optimization


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no C++ compiler")
@pytest.mark.parametrize("able", [True, False])
def test_it_compiles_where_there_is_a_compiler(able: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if able:
        (tmp_path / "g++").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.compiles(optimization(compile="auto"), torch.device("cpu"), compilable=True) is able


@pytest.mark.parametrize("name", ["plain", "it's mine", "模型 1"])
def test_the_compiler_gets_every_path_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, machine = tmp_path / name, tmp_path / "machine"
    folder.mkdir()
    machine.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(machine))
    monkeypatch.setattr(cpp_extension, "TORCH_LIB_PATH", cpp_extension.TORCH_LIB_PATH)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # so that what is set here is undone
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(hardware.torch, "__file__", str(folder / "torch/__init__.py"))
    hardware.prepare_compiler()
    cache = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert cache.is_relative_to(folder if name == "plain" else machine)
    builder = cpp_builder.CppBuilder(
        "kernel", str(cache / "kernel.cpp"), cpp_builder.CppTorchOptions(vec_isa=invalid_vec_isa), str(cache)
    )
    words = shlex.split(builder.get_command_line())
    assert f"-L{folder / 'torch/lib'}" in words
    assert str(cache / "kernel.cpp") in words


@pytest.mark.parametrize(("setting", "compiles"), [("always", True), ("never", False)])
def test_the_setting_has_the_last_word(setting: str, compiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert hardware.compiles(optimization(compile=setting), torch.device("cpu"), compilable=True) is compiles
