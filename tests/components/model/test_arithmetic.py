"""Which type matrix products have: by what the hardware multiplies fast, in one place."""

import json
import os
import subprocess
import sys

import pytest
import torch

from components.model import arithmetic

AVX2 = frozenset({"avx2", "fma3"})
AVX512 = AVX2 | {"avx512_f", "avx512_bw", "avx512_vl", "avx512_vnni"}
ZEN4 = AVX512 | {"avx512_bf16"}
SAPPHIRE_RAPIDS = ZEN4 | {"amx_tile", "amx_bf16"}


@pytest.mark.parametrize(
    ("capability", "instructions", "said"),
    [
        ("DEFAULT", frozenset(), "fp32 (DEFAULT)"),
        ("AVX2", AVX2, "fp32 (AVX2)"),
        ("AVX512", AVX512, "fp32 (AVX-512)"),
        ("AVX512", ZEN4, "bf16 (AVX-512 bf16)"),
        ("AVX512", SAPPHIRE_RAPIDS, "bf16 (AMX)"),
        ("AVX512", SAPPHIRE_RAPIDS | {"amx_fp16"}, "bf16 (AMX fp16)"),
        ("AVX2", SAPPHIRE_RAPIDS, "fp32 (AVX2)"),  # ATEN_CPU_CAPABILITY=avx2
        ("DEFAULT", frozenset({"neon"}), "fp32 (Arm)"),
        ("SVE256", frozenset({"neon", "sve", "bf16"}), "bf16 (Arm bf16)"),
    ],
)
def test_processors(capability: str, instructions: frozenset[str], said: str) -> None:
    assert str(arithmetic.of_processor(capability, instructions)) == said


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 0), torch.float32), ((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_gpus_without_bf16_do_not_emulate_it(capability: tuple[int, int], dtype: torch.dtype) -> None:
    assert arithmetic.of_gpu("a GPU", capability).dtype is dtype


@pytest.mark.parametrize("mask", [{"ATEN_CPU_CAPABILITY": "avx2"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}])
def test_what_libraries_are_told_to_leave_out_is_not_there(mask: dict[str, str]) -> None:
    ask = (
        "import json; from components.model import arithmetic;"
        "print(json.dumps(arithmetic.NAMES[arithmetic.of(arithmetic.CPU).dtype]))"
    )
    said = subprocess.run([sys.executable, "-c", ask], env=os.environ | mask, check=True, capture_output=True).stdout
    assert json.loads(said) == "fp32"


def test_it_is_the_same_each_time() -> None:
    assert arithmetic.of(arithmetic.CPU) == arithmetic.of(arithmetic.CPU)


def test_a_setting_has_the_last_word() -> None:
    assert arithmetic.chosen("fp32", arithmetic.CPU) is torch.float32
    assert arithmetic.chosen("bf16", arithmetic.CPU) is torch.bfloat16
    assert arithmetic.chosen("auto", arithmetic.CPU) is arithmetic.of(arithmetic.CPU).dtype
