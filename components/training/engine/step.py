"""One training step: the gradient of the mean loss over a batch, clipped by norm, and skipped when it is a spike.

Nothing here waits for the device, so that a GPU always has the next step queued: metrics are tensors on it.
docs/decisions.md, "What did not make a step faster"
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from components.model import arithmetic
from components.model.interface import LanguageModel
from components.training.data.batches import Share
from components.training.engine import checkpoints, distributed, hardware, optimizer_state
from components.training.engine.optimizer import build, learning_rate, trained
from components.training.settings import Optimization

WINDOW = 128  # steps
SIGMAS = 6.0


class Spikes:
    """Finds harmful steps: with a loss or a gradient norm that is not a number, or far above the last ones.

    They are skipped on the device, as by the SkipStepOptimizer of OLMo-core (https://arxiv.org/abs/2501.00656). A value
    above the limit enters the window as the limit: a streak of spikes is recognised as one, and what keeps occurring
    becomes usual in the end. All state is in the tensors.
    docs/decisions.md, "Skipped steps"
    """

    def __init__(self, device: torch.device, steps: int) -> None:
        self.tensors = {
            "spikes.recent": torch.zeros(2, WINDOW, device=device),  # losses and norms
            "spikes.known": torch.zeros((), dtype=torch.long, device=device),  # how many there are
            "spikes.skipped": torch.zeros((), dtype=torch.long, device=device),
            "spikes.streak": torch.zeros((), dtype=torch.long, device=device),  # skipped in a row, so far
            "spikes.steps": torch.zeros(steps, dtype=torch.uint8, device=device),  # 1 for each that was skipped
        }

    def judge(self, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """1 when the step (0, 1, ...) is to be skipped, else 0: the `found_inf` of the optimizers.

        Does not wait for the device.
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
        """The number of skipped steps, in total and in a row up to now."""
        skipped, streak = self.tensors["spikes.skipped"], self.tensors["spikes.streak"]
        return {"skipped_steps": skipped.float(), "streak": streak.float()}

    def skipped(self) -> list[int]:
        """The numbers of the skipped steps, from 1 on."""
        found: list[int] = (self.tensors["spikes.steps"].nonzero().flatten() + 1).tolist()
        return found


KINDS = ("embedding", "head", "attention", "mlp")  # of weights, as in their names


class Stepper:
    """A model in training, in this and the other processes, and its optimizers."""

    def __init__(self, model: LanguageModel, settings: Optimization, parallel: str) -> None:
        self._settings, self.device = settings, hardware.device()
        # As `use_deterministic_algorithms`, which imports the compiler, for a second, also where nothing is compiled.
        torch.set_deterministic_debug_mode("error" if self.device.type == "cpu" else "default")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it
        if self.device.type == "cpu":
            hardware.keep_memory()
        self.precision = arithmetic.chosen(settings.precision, self.device)
        self._autocast = arithmetic.autocast(self.device, self.precision)
        model.checkpoint_activations(settings.activation_checkpointing)
        compiles = hardware.compiles(settings, self.device, compilable=model.compilable)
        self._replica = distributed.Replica(model, parallel, self.device, compiles)
        self.model = self._replica.model
        self.optimizers = build(self.model, settings, self.precision)
        self.spikes = Spikes(self.device, settings.steps)
        self._kinds = _kinds(self.model)

    def step(self, number: int, share: Share, *, log: bool) -> dict[str, Tensor]:
        """Take a step (0, 1, ...); returns its loss, in nats per target, and the norm of its gradient.

        Also the number of skipped steps, in total and in a row; with `log`, the norms for each kind of weights.
        """
        self._set_rate(learning_rate(number, self._settings))
        loss = self._backward(share)
        norm = _gradient_norm(self.model.parameters())
        norms = {f"gradient_norm/{kind}": _gradient_norm(some) for kind, some in self._kinds.items()} if log else {}
        clip_factor = (norm / self._settings.max_gradient_norm).clamp(min=1)
        skip = self.spikes.judge(number, loss, norm)
        for optimizer in self.optimizers:
            optimizer.grad_scale, optimizer.found_inf = clip_factor, skip  # type: ignore[attr-defined]
            optimizer.step()
            optimizer.zero_grad()
        return {"loss": loss, "gradient_norm": norm, **norms, **self.spikes.counts()}

    @contextmanager
    def evaluating(self) -> Iterator[LanguageModel]:
        """Context manager: the current model, whole, in every process."""
        with self._replica.evaluating() as model, self._autocast:
            yield model

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, apart from its number and the RNG state."""
        return checkpoints.named_tensors(self.model, self.optimizers) | self.spikes.tensors

    def restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Restore everything that `tensors` returned."""
        checkpoint.restore(self.model, self.optimizers, self.spikes.tensors)

    def save_optimizers(self, path: Path) -> None:
        """Write the state of the optimizers to a file, for a training that goes on from the weights."""
        optimizer_state.save(path, self.model, self.optimizers)

    def load_optimizers(self, path: Path) -> None:
        """Begin with the state of the optimizers that `save_optimizers` wrote."""
        optimizer_state.load(path, self.model, self.optimizers)

    def finish(self) -> None:
        """Copy the trained weights into the model that was given, on the CPU."""
        self._replica.finish()

    def _set_rate(self, rate: float) -> None:
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate

    def _backward(self, share: Share) -> Tensor:
        """Compute the gradient of the mean over the targets of all processes; returns the mean, in nats."""
        targets = distributed.all_reduce_sum(share.targets.to(self.device, non_blocking=True))
        loss = torch.zeros((), device=self.device)
        for number, batch in enumerate(share.micro_batches, 1):
            self._replica.set_gradient_sync(number == len(share.micro_batches))
            with self._autocast:
                nats = self._replica.loss(*batch.to(self.device).tensors(), z_loss=self._settings.z_loss)
            # The gradient sync averages over the processes.
            (nats * (distributed.world_size() / targets)).backward()  # type: ignore[no-untyped-call]
            loss += nats.detach()
        return distributed.all_reduce_sum(loss) / targets


def _gradient_norm(weights: Iterable[Tensor]) -> Tensor:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    return distributed.full_tensor(nn.utils.get_total_norm(gradients))


def _kinds(model: nn.Module) -> dict[str, list[Tensor]]:
    """The trained weights by the part of the model that they belong to; vectors are a kind of their own."""
    kinds: dict[str, list[Tensor]] = {}
    for name, weight in trained(model):
        kind = "vectors" if weight.ndim < 2 else next((kind for kind in KINDS if kind in name), "other")
        kinds.setdefault(kind, []).append(weight)
    return kinds
