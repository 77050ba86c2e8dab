"""Matrices laid out for the products of generation on a processor.

With few rows the time goes into reading the matrix, and PyTorch's default (MKL) reads it slowly on processors that are
not Intel's. oneDNN multiplies with a matrix that was put into its own layout beforehand, as `torch.compile` does it
when weights are frozen: the same numbers but for the last bits, in fp32 up to four times as fast.
"""

from torch import Tensor, nn, ops

from components.model.transformer import Transformer


class PackedLinear(nn.Module):
    """A linear layer on the processor that cannot be trained any more."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight: Tensor = ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return out


def pack(model: Transformer) -> Transformer:
    """The same model with packed matrices, changed in place: for `generate`, no more for training or `loss`."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child))
    return model
