"""One step of training: the gradient of the mean loss over a batch, cut to a length, and applied unless it does harm.

Nothing here waits for the device, so that a GPU always has the next step before it: figures are tensors on it.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from components.model import arithmetic
from components.model.transformer import Transformer
from components.training.data.prefetch import Share
from components.training.engine import checkpoints, distributed, hardware
from components.training.engine.optimizer import build, learning_rate
from components.training.engine.spikes import Spikes
from components.training.settings import Optimization

KINDS = ("embedding", "head", "attention", "mlp")  # of weights, as their names have them


class Stepper:
    """A model in training, here and in the other processes, and its optimizers."""

    def __init__(self, model: Transformer, settings: Optimization, parallel: str) -> None:
        self._settings, self.device = settings, hardware.device()
        torch.use_deterministic_algorithms(self.device.type == "cpu")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it
        if self.device.type == "cpu":
            hardware.keep_memory()
        self.precision = arithmetic.chosen(settings.precision, self.device)
        self._autocast = arithmetic.autocast(self.device, self.precision)
        for stack in model.stacks():
            stack.recomputes = settings.activation_checkpointing
        self._replica = distributed.Replica(model, parallel, self.device, hardware.compiles(settings, self.device))
        self.model = self._replica.model
        self.optimizers = build(self.model, settings, self.precision)
        self.spikes = Spikes(self.device, settings.steps)
        self._kinds = _kinds(self.model)

    def step(self, number: int, share: Share, *, looks: bool) -> dict[str, Tensor]:
        """Take a step (0, 1, ...); its loss, in nats a target, and the norm of its gradient.

        Also how many steps were skipped, in all and in a row; with `looks`, the norms for each kind of weights.
        """
        self._set_rate(learning_rate(number, self._settings))
        loss = self._backward(share)
        norm = _gradient_norm(self.model.parameters())
        norms = {f"gradient_norm/{kind}": _gradient_norm(some) for kind, some in self._kinds.items()} if looks else {}
        longer = (norm / self._settings.max_gradient_norm).clamp(min=1)
        skip = self.spikes.judge(number, loss, norm)
        for optimizer in self.optimizers:
            optimizer.grad_scale, optimizer.found_inf = longer, skip  # type: ignore[attr-defined]
            optimizer.step()
            optimizer.zero_grad()
        return {"loss": loss, "gradient_norm": norm, **norms, **self.spikes.counts()}

    def validate(self, figures_of: Callable[[Transformer], dict[str, float]]) -> dict[str, float]:
        """Figures of the model as it is now. All processes compute the same."""
        with self._replica.evaluating() as model, self._autocast:
            return figures_of(model)

    def tensors(self) -> dict[str, Tensor]:
        """All that the next step depends on, beside its number and the state of chance."""
        return checkpoints.named_tensors(self.model, self.optimizers) | self.spikes.tensors

    def restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Put all of that back to where it was."""
        checkpoint.restore(self.model, self.optimizers, self.spikes.tensors)

    def finish(self) -> None:
        """Leave the trained weights in the model that was given, on the CPU."""
        self._replica.finish()

    def _set_rate(self, rate: float) -> None:
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate

    def _backward(self, share: Share) -> Tensor:
        """Leave the gradient of the mean over the targets of all processes; the mean, in nats."""
        targets = distributed.total(share.targets.to(self.device, non_blocking=True))
        loss = torch.zeros((), device=self.device)
        for number, batch in enumerate(share.micro_batches, 1):
            self._replica.exchange(number == len(share.micro_batches))
            with self._autocast:
                nats = self._replica.loss(*batch.to(self.device).tensors(), z_loss=self._settings.z_loss)
            # The exchange takes the mean over the processes.
            (nats * (distributed.size() / targets)).backward()  # type: ignore[no-untyped-call]
            loss += nats.detach()
        return distributed.total(loss) / targets


def _gradient_norm(weights: Iterable[Tensor]) -> Tensor:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    return distributed.whole(nn.utils.get_total_norm(gradients))


def _kinds(model: nn.Module) -> dict[str, list[Tensor]]:
    """The weights by what they are part of; vectors are a kind of their own."""
    kinds: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        kind = "vectors" if weight.ndim < 2 else next((kind for kind in KINDS if kind in name), "other")
        kinds.setdefault(kind, []).append(weight)
    return kinds
