"""A model prepared for generation on a processor: its matrices in another layout, its blocks in fewer operations.

With few rows the time goes into reading the matrices and into calling small operations. How a matrix is read fastest
depends on its size and on the processor. The numbers are the same but for the last bits.
docs/decisions.md, "Matrices are laid out for few rows"
"""

import math

import torch
from torch import Tensor, nn, ops

from components.model import arithmetic
from components.model.attention import attention
from components.model.config import ModelConfig
from components.model.decode_state import LayerCache
from components.model.interface import LanguageModel
from components.model.layers import GATES, Block, Context
from components.model.positions import rotate
from components.model.transformer import Transformer

SMALL = 1 << 20  # weights of a matrix up to which MKL is the faster library on a processor of Intel


class PackedLinear(nn.Module):
    """A linear layer that cannot be trained any more; it can scale its inputs, or add its outputs to a stream."""

    def __init__(self, linear: nn.Linear, scale: Tensor | None = None) -> None:
        super().__init__()
        weight = linear.weight.detach() if scale is None else linear.weight.detach() * scale.detach()
        self.by_columns = weight.numel() <= SMALL and arithmetic.mkl_is_fast()
        self.weight: Tensor = weight.t().contiguous() if self.by_columns else ops.mkldnn._reorder_linear_weight(weight)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        if self.by_columns:
            return x @ self.weight if self.bias is None else x @ self.weight + self.bias
        out: Tensor = ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return out

    def add(self, stream: Tensor, x: Tensor) -> Tensor:
        """The stream [N, C] plus the output of the layer for x."""
        if self.by_columns:
            return torch.addmm(stream if self.bias is None else stream + self.bias, x, self.weight)
        out: Tensor = ops.mkldnn._linear_pointwise.binary(x, stream, self.weight, self.bias, "add")
        return out


class PackedBlock(nn.Module):
    """The counterpart of `Block` for decoders with RMSNorm, with the weights of its norms folded into the matrices.

    RMSNorm of x is sqrt(size) * x / hypot(|x|, sqrt(size * eps)): the first factor is folded, too.
    """

    def __init__(self, block: Block, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.num_heads, config.num_kv_heads, config.head_dim
        self.floor = torch.tensor(math.sqrt(config.hidden_size * config.norm_eps))
        self.head_floor = torch.tensor(math.sqrt(config.head_dim * config.norm_eps))
        self.qkv = PackedLinear(block.attention.qkv, _scale(block.attention_norm))
        self.out = PackedLinear(block.attention.out)
        self.up = PackedLinear(block.mlp.up, _scale(block.mlp_norm))
        self.down = PackedLinear(block.mlp.down)
        self.gate = GATES[config.activation]
        self.scale, self.cap = block.attention.scale, block.attention.cap
        self.scales_after: tuple[Tensor, Tensor] | None = None
        if config.norm_position == "both":
            self.scales_after = _scale(block.attention_norm_after), _scale(block.mlp_norm_after)
        self.qk_scale: Tensor | None = None  # [heads of queries and of keys, 1, D]
        if config.qk_norm:
            query, key = _scale(block.attention.query_norm), _scale(block.attention.key_norm)
            self.qk_scale = torch.stack([query] * self.heads + [key] * self.kv_heads)[:, None]

    def forward(
        self, x_BTC: Tensor, context: Context, cache: LayerCache | None = None, wanted_N: Tensor | None = None
    ) -> Tensor:
        """As `Block.forward`."""
        B, T, C = x_BTC.shape
        x_NC = x_BTC.view(-1, C)  # PyTorch calls more operations for three dimensions than for two
        qkv = self.qkv(_normed(x_NC, self.floor)).view(B, T, -1, self.head_dim).transpose(1, 2)
        qk, v_BKTD = qkv[:, : -self.kv_heads], qkv[:, -self.kv_heads :]
        if self.qk_scale is not None:
            qk = _normed(qk, self.head_floor) * self.qk_scale
        if context.rotation is not None:
            qk = rotate(qk, context.rotation)
        q_BHTD, k_BKTD = qk[:, : self.heads], qk[:, self.heads :]
        if cache is not None:
            k_BKTD, v_BKTD = cache.own.append(k_BKTD, v_BKTD)
        mixed_BHTD = attention(q_BHTD, k_BKTD, v_BKTD, context.mask, causal=True, scale=self.scale, cap=self.cap)
        mixed_NC = mixed_BHTD.transpose(1, 2).reshape(B * T, -1)
        if wanted_N is None:
            return self._transform(x_NC, mixed_NC).view(B, T, C)
        return self._transform(x_NC[wanted_N], mixed_NC[wanted_N])

    def _transform(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The part that processes each token by itself, [N, C], after attention has mixed them."""
        if self.scales_after is None:
            x = self.out.add(x, mixed)
            return self.down.add(x, self._gated(x))
        x = x + _normed(self.out(mixed), self.floor) * self.scales_after[0]
        return x + _normed(self.down(self._gated(x)), self.floor) * self.scales_after[1]

    def _gated(self, x: Tensor) -> Tensor:
        gate, up = self.up(_normed(x, self.floor)).chunk(2, dim=-1)
        out: Tensor = self.gate(gate) * up
        return out


class PackedNorm(nn.Module):
    """The counterpart of `nn.RMSNorm`."""

    def __init__(self, norm: nn.Module, eps: float) -> None:
        super().__init__()
        self.scale = _scale(norm)
        self.floor = torch.tensor(math.sqrt(self.scale.numel() * eps))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = _normed(x, self.floor) * self.scale
        return out


def _scale(norm: nn.Module) -> Tensor:
    """The weight of an RMSNorm, and the factor that `_normed` leaves out."""
    weight = norm.get_parameter("weight").detach()
    scale: Tensor = weight * math.sqrt(weight.numel())
    return scale


def _normed(x: Tensor, floor: Tensor) -> Tensor:
    """RMSNorm without its factors, in a third of the time of PyTorch's."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.hypot_(floor)


def pack(model: LanguageModel) -> LanguageModel:
    """Prepare a model of ours in place for `generate`; training and `loss` do not work after it.

    On a GPU nothing changes, and nothing of the modules of `transformers`.
    """
    if not isinstance(model, Transformer) or model.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return model
    config = model.config
    style = (config.architecture, config.positions, config.norm)
    gated = config.norm_position != "post" and config.activation in GATES
    if model.decoder is not None and style == ("decoder", "rotary", "rms") and gated:
        model.decoder.blocks = nn.ModuleList(PackedBlock(block, config) for block in model.blocks())
        model.decoder.norm = PackedNorm(model.decoder.norm, config.norm_eps)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child))
    return model
