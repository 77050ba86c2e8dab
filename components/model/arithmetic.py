"""The type of matrix products: the only place that chooses it, by what the hardware multiplies fast.

The choice depends on the processor or GPU alone, so that it is the same each time on the same machine. Nothing is
measured: a busy machine would choose differently from an idle one.
docs/decisions.md, "The hardware chooses the type of matrix products, in one place"
"""

import os
from dataclasses import dataclass

import torch

CPU = torch.device("cpu")

# Values of oneDNN's ONEDNN_MAX_CPU_ISA below which it has no bf16 instructions, and emulates them.
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_ONEDNN_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}

_TENSOR_CORES = (8, 0)  # the compute capability from which NVIDIA GPUs multiply bf16; sm_70 and sm_75 emulate it


@dataclass(frozen=True)
class Arithmetic:
    """The type that a device multiplies fast, and the instructions or the GPU that do it."""

    hardware: str
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{NAMES[self.dtype]} ({self.hardware})"


NAMES = {torch.bfloat16: "bf16", torch.float32: "fp32"}


def of(device: torch.device) -> Arithmetic:
    """The type that a device multiplies fast."""
    if device.type != "cuda":
        return of_processor(torch.backends.cpu.get_cpu_capability(), _instructions())
    if torch.version.hip:
        return Arithmetic(torch.cuda.get_device_name(device), torch.bfloat16)
    return of_gpu(torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device))


def of_processor(capability: str, instructions: frozenset[str]) -> Arithmetic:
    """The type that a processor multiplies fast.

    capability: PyTorch's name of the widest vectors that it uses, subject to ATEN_CPU_CAPABILITY. instructions: names
    as in `torch.cpu.get_capabilities`, without those that oneDNN may not use.
    """
    if capability in ("AVX512", "AMX") or capability.startswith("AVX10"):
        if "amx_bf16" in instructions:
            return Arithmetic("AMX fp16" if "amx_fp16" in instructions else "AMX", torch.bfloat16)
        if "avx512_bf16" in instructions:
            return Arithmetic("AVX-512 bf16", torch.bfloat16)
        return Arithmetic("AVX-512", torch.float32)
    if "neon" in instructions:
        if "bf16" in instructions:
            return Arithmetic("Arm bf16", torch.bfloat16)
        return Arithmetic("Arm", torch.float32)
    return Arithmetic(capability, torch.float32)


def of_gpu(name: str, capability: tuple[int, int]) -> Arithmetic:
    """The type that an NVIDIA GPU multiplies fast, by its compute capability."""
    hardware = f"{name}, sm_{capability[0]}{capability[1]}"
    return Arithmetic(hardware, torch.bfloat16 if capability >= _TENSOR_CORES else torch.float32)


def chosen(precision: str, device: torch.device) -> torch.dtype:
    """The type for a setting: `bf16`, `fp32`, or `auto`, which depends on the hardware."""
    if precision == "auto":
        return of(device).dtype
    return torch.bfloat16 if precision == "bf16" else torch.float32


def described(dtype: torch.dtype, device: torch.device) -> str:
    """The type of a run in words, for its log: with the hardware, and with its fastest type if that is another one."""
    best = of(device)
    return str(best) if dtype is best.dtype else f"{NAMES[dtype]}, as set; this machine is fastest in {best}"


def autocast(device: torch.device, dtype: torch.dtype | None = None) -> torch.autocast:
    """Autocast of a model's matrix products to this type, by default to the one that the device multiplies fast."""
    dtype = dtype or of(device).dtype
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def mkl_is_fast() -> bool:
    """Whether the library that PyTorch multiplies fp32 with by default is made for this processor."""
    return torch.backends.mkl.is_available() and "Intel" in str(torch.cpu.get_capabilities().get("cpu_name"))  # type: ignore[no-untyped-call]


def _instructions() -> frozenset[str]:
    found = {name for name, has in torch.cpu.get_capabilities().items() if has is True}
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _ONEDNN_WITHOUT_BF16:
        found -= {"amx_bf16", "amx_fp16", "avx512_bf16"}
    return frozenset(found)
