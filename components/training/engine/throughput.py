"""The throughput of a training run, and its share of the machine's peak."""

import time

import torch

from components.model.interface import LanguageModel
from components.training.data.batches import Share
from components.training.engine import distributed, hardware


class ThroughputMeter:
    """Counts the tokens and the operations of all processes between two measurements."""

    def __init__(self, model: LanguageModel, device: torch.device, precision: torch.dtype) -> None:
        self._model, self._device, self._precision = model, device, precision
        self._peak = 0.0  # of all processes, in operations per second
        self.shown: dict[str, str] = {}  # the last values, ready to print
        self.begin()

    def begin(self) -> None:
        """Start counting. The peak is measured again, as the machine may have been busy before."""
        peak = hardware.matmul_peak(self._device, self._precision) * distributed.world_size()
        self._peak = max(self._peak, peak)
        self._count_anew()

    def add(self, share: Share) -> None:
        """Count a step."""
        self._tokens += share.tokens
        self._operations += share.tokens * self._model.flops_per_token(*share.lengths)
        if self._device.type == "cpu":  # on a GPU their number would have to be waited for
            self._operations -= share.without_target * distributed.world_size() * self._model.flops_per_target()

    def measure(self, loss: float, rate: float) -> dict[str, float]:
        """Tokens per second, the share of the peak of matrix products, and the peak memory so far."""
        seconds = time.perf_counter() - self._began
        speed, share = self._tokens / seconds, self._operations / seconds / self._peak
        memory = hardware.peak_memory(self._device)
        self.shown = {
            "loss": f"{loss:.3f}",
            "learning rate": f"{rate:.1e}",
            "tokens/s": f"{speed:,.0f}",
            "of peak": f"{share:.0%}",
            "memory": f"{memory / 1e9:.1f} GB",
        }
        self._count_anew()
        return {"tokens_per_second": speed, "share_of_peak": share, "memory_gb": memory / 1e9}

    def _count_anew(self) -> None:
        self._began, self._tokens, self._operations = time.perf_counter(), 0, 0
