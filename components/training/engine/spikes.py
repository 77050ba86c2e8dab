"""Steps that would do harm: not a number, or far above the last ones. They are passed over on the device.

As in the SkipStepOptimizer of OLMo-core (https://arxiv.org/abs/2501.00656). What is above the limit enters the window
as the limit: a streak of spikes is seen as one, and what comes again and again becomes usual in the end.
"""

import torch
from torch import Tensor

WINDOW = 128  # steps
SIGMAS = 6.0


class Spikes:
    """Judges each of the steps by its loss and the norm of its gradient. The tensors are all that it remembers."""

    def __init__(self, device: torch.device, steps: int) -> None:
        self.tensors = {
            "spikes.recent": torch.zeros(2, WINDOW, device=device),  # losses and norms
            "spikes.known": torch.zeros((), dtype=torch.long, device=device),  # how many there have been
            "spikes.skipped": torch.zeros((), dtype=torch.long, device=device),
            "spikes.streak": torch.zeros((), dtype=torch.long, device=device),  # skipped in a row, up to now
            "spikes.steps": torch.zeros(steps, dtype=torch.uint8, device=device),  # 1 for each that was skipped
        }

    def judge(self, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """1 when the step (0, 1, ...) is to be skipped, else 0: what optimizers read as `found_inf`.

        Waits for nothing.
        """
        recent, known, skipped, streak, steps = self.tensors.values()
        now = torch.stack((loss, norm))
        deviation, mean = torch.std_mean(recent, dim=1)
        limit = torch.where(known < WINDOW, torch.inf, mean + SIGMAS * deviation)
        is_number = now.isfinite().all()
        skip = ~is_number | (now > limit).any()
        window = torch.cat((recent[:, 1:], torch.minimum(now, limit)[:, None]), dim=1)
        recent.copy_(torch.where(is_number, window, recent))
        known += is_number
        skipped += skip
        streak.copy_(torch.where(skip, streak + 1, 0))
        steps[step] = skip
        return skip.float()

    def counts(self) -> dict[str, Tensor]:
        """How many steps were skipped, and how many of them in a row up to now."""
        skipped, streak = self.tensors["spikes.skipped"], self.tensors["spikes.streak"]
        return {"skipped_steps": skipped.float(), "streak": streak.float()}

    def skipped(self) -> list[int]:
        """The steps that were skipped: 1 is the first of all."""
        found: list[int] = (self.tensors["spikes.steps"].nonzero().flatten() + 1).tolist()
        return found
