"""The hardware of training: the device, its memory, the compiler, and the peak throughput."""

import ctypes
import os
import resource
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from components.core.errors import BadSettings
from components.core.files import STATE
from components.training.settings import Optimization

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def device() -> torch.device:
    """The GPU if there is one; of several on a machine, each process has its own."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def keep_memory() -> None:
    """Make the allocator of the C library keep freed memory, and reuse it in the next step.

    By default, glibc returns large buffers to the system after each use and takes them back page by page:
    80,000 page faults per step of a small model, a quarter of its time. Other libraries do not have the call.
    docs/decisions.md, "Freed memory is kept"
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def compiles(settings: Optimization, device: torch.device, *, compilable: bool) -> bool:
    """Whether to compile the model: on the CPU it takes a C++ compiler.

    Raises `BadSettings` when a model has to be compiled that is not `compilable`.
    docs/decisions.md, "`torch.compile` also on processors"
    """
    if not compilable:
        if settings.compile == "always":
            raise BadSettings("optimization.compile is always, but modules of transformers are not compiled: set auto")
        return False
    if settings.compile != "auto":
        return settings.compile == "always"
    return device.type == "cuda" or bool(shutil.which("g++") or shutil.which("clang++"))


def prepare_compiler() -> None:
    """Keep compiled code on disk, where the next run finds it."""
    from torch._inductor import config
    from torch.utils import cpp_extension

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_compiled()))
    # The only path of its own that PyTorch passes to the compiler without quotes.
    cpp_extension.TORCH_LIB_PATH = shlex.quote(str(Path(torch.__file__).parent / "lib"))
    # Otherwise it tries each vector extension with a program of its own, 7 s; compilers with C++20 support them all.
    config.cpp.vec_isa_ok = True
    config.deterministic = torch.are_deterministic_algorithms_enabled()
    print("compiling the model: the first step takes longer", flush=True)


def _compiled() -> Path:
    """The folder for compiled code: in the state folder, or in the machine's temporary one, of this user alone.

    PyTorch passes paths to the compiler without quotes, so that a path with a blank would be split.
    """
    folder = (STATE / "inductor").absolute()
    if not set(str(folder)) & set(" \t\n'\"\\"):
        return folder
    folder = Path(tempfile.gettempdir()) / f"lmforge-{os.getuid()}-inductor"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder if folder.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp())


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second in large matrix products: the best of a few, as others use the machine."""
    size = 1024 if device.type == "cpu" else 8192
    chance = torch.Generator(device)  # the RNG state of the training run stays as it is
    left, right = (torch.randn(size, size, generator=chance, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(5):
        _wait(device)
        began = time.perf_counter()
        left @ right
        _wait(device)
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times)


def peak_memory(device: torch.device) -> int:
    """The peak memory of this process in bytes: on the GPU, or without one in the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
