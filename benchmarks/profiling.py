"""Where the time of a step goes, according to PyTorch's profiler on our engine."""

import multiprocessing
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch.profiler import profile, record_function

from benchmarks.contenders import Size, rows, run, settings
from components.model.transformer import Transformer

STEPS = 4
PARTS = (  # the first match wins, on the names of an operation and of those around it, outermost first
    ("optimizer", r"Optimizer\.step|zero_grad|linalg_vector_norm|foreach"),
    ("data", r"^data"),
    ("matrix products", r"aten::(mm|addmm|linear)\b"),
    ("loss", r"_CrossEntropy|log_?softmax|logsumexp"),
    ("attention", r"aten::bmm|softmax|attention|mul_sub_sum"),
    ("activation of the MLP", r"silu"),
    ("norms, rotary positions, residuals", r"cpp_fused"),
)


class _Enough(Exception):
    """The profile is complete."""


def show(size: Size) -> None:
    """Print the shares for our engine with the settings of `params.yaml`."""
    # A process of its own, since naming the compiler's kernels slows them a little.
    process = multiprocessing.get_context("spawn").Process(target=_show, args=(size,))
    process.start()
    process.join()


def _show(size: Size) -> None:
    import torch._inductor.config as inductor

    inductor.cpp.enable_kernel_profile = True
    inductor.cpp.descriptive_names = "original_aten"
    model = Transformer(size.config())
    model.initialize(torch.Generator().manual_seed(1), zero_projections=False)
    profiler = profile()

    def report(step: int, _: dict[str, float]) -> None:
        if step == STEPS * 2:
            profiler.start()
        if step == STEPS * 3:
            profiler.stop()
            raise _Enough

    def data(places: Any) -> Any:
        with record_function("data"):
            return rows(places, size.vocab_size)

    try:
        run(model, data, settings("muon", STEPS), report)
    except _Enough:
        shares = _shares(profiler.events())
        print("\nshare of the time of a step")
        for part, share in sorted(shares.items(), key=lambda item: -item[1]):
            print(f"{part:36} {share:6.1%}")


def _shares(events: Any) -> dict[str, float]:
    spent: defaultdict[str, float] = defaultdict(float)
    for event in events:
        spent[_part(" > ".join(_names(event)))] += event.self_cpu_time_total
    total = sum(spent.values())
    return {part: time / total for part, time in spent.items()}


def _names(event: Any) -> Iterator[str]:
    if event.cpu_parent is not None:
        yield from _names(event.cpu_parent)
    yield event.name


def _part(path: str) -> str:
    return next((part for part, pattern in PARTS if re.search(pattern, path)), "everything else")
