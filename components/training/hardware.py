"""What the machine can do: the device, its arithmetic, and its peak."""

import shutil
import time

import torch

from components.training.settings import Optimization


def device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(settings: Optimization, device: torch.device) -> torch.dtype:
    """The type of matrix products: bf16 where the hardware multiplies it, unless the settings say otherwise."""
    if settings.precision != "auto":
        return torch.bfloat16 if settings.precision == "bf16" else torch.float32
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def compiles(settings: Optimization, device: torch.device) -> bool:
    """Whether to compile: on the CPU it takes a C++ compiler."""
    if settings.compile != "auto":
        return settings.compile == "always"
    return device.type == "cuda" or shutil.which("g++") is not None or shutil.which("clang++") is not None


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second in large matrix products: the best of a few, since others use the machine."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(20):
        _wait(device)
        began = time.perf_counter()
        left @ right
        _wait(device)
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
