"""A model prepared for generation on a processor: its matrices in another layout, its blocks in fewer operations.

With few rows the time goes into reading the matrices, and PyTorch's default (MKL) reads them slowly on processors that
are not Intel's. oneDNN multiplies with a matrix that was put into its own layout beforehand, as `torch.compile` does
with frozen weights: the same numbers but for the last bits, up to four times as fast in fp32.
docs/decisions.md, "oneDNN writes, MKL does not"
"""

import torch
from torch import Tensor, nn, ops

from components.model.attention import attention
from components.model.config import ModelConfig
from components.model.interface import LanguageModel
from components.model.layers import GATES, Block, Context, LayerCache
from components.model.positions import rotate
from components.model.transformer import Transformer


class PackedLinear(nn.Module):
    """A linear layer that cannot be trained any more; it can scale its inputs, or add its outputs to a stream."""

    def __init__(self, linear: nn.Linear, scale: Tensor | None = None) -> None:
        super().__init__()
        weight = linear.weight.detach() if scale is None else linear.weight.detach() * scale.detach()
        self.weight: Tensor = ops.mkldnn._reorder_linear_weight(weight)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return out

    def add(self, stream: Tensor, x: Tensor) -> Tensor:
        """The stream plus the output of the layer for x."""
        out: Tensor = ops.mkldnn._linear_pointwise.binary(x, stream, self.weight, self.bias, "add")
        return out


class PackedBlock(nn.Module):
    """The counterpart of `Block` for decoders with RMSNorm, with the weights of its norms folded into the matrices."""

    def __init__(self, block: Block, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.num_heads, config.num_kv_heads, config.head_dim
        self.eps = torch.tensor(config.norm_eps)
        self.qkv = PackedLinear(block.attention.qkv, block.attention_norm.get_parameter("weight"))
        self.out = PackedLinear(block.attention.out)
        self.up = PackedLinear(block.mlp.up, block.mlp_norm.get_parameter("weight"))
        self.down = PackedLinear(block.mlp.down)
        self.gate = GATES[config.activation]
        self.scale, self.cap = block.attention.scale, block.attention.cap
        self.scales_after: tuple[Tensor, Tensor] | None = None
        if config.norm_position == "both":
            after = (block.attention_norm_after, block.mlp_norm_after)
            attended, transformed = (norm.get_parameter("weight").detach() for norm in after)
            self.scales_after = attended, transformed
        self.qk_scale: Tensor | None = None  # [heads of queries and of keys, 1, D]
        if config.qk_norm:
            query = block.attention.query_norm.get_parameter("weight").detach()
            key = block.attention.key_norm.get_parameter("weight").detach()
            self.qk_scale = torch.stack([query] * self.heads + [key] * self.kv_heads)[:, None]

    def forward(self, x_BTC: Tensor, context: Context, cache: LayerCache | None = None) -> Tensor:
        B, T, _ = x_BTC.shape
        qkv = self.qkv(self._norm(x_BTC)).view(B, T, -1, self.head_dim).transpose(1, 2)
        qk, v_BKTD = qkv[:, : -self.kv_heads], qkv[:, -self.kv_heads :]
        if self.qk_scale is not None:
            qk = self._norm(qk) * self.qk_scale
        if context.rotation is not None:
            qk = rotate(qk, context.rotation)
        q_BHTD, k_BKTD = qk[:, : self.heads], qk[:, self.heads :]
        if cache is not None:
            k_BKTD, v_BKTD = cache.own.append(k_BKTD, v_BKTD)
        mixed_BHTD = attention(q_BHTD, k_BKTD, v_BKTD, context.mask, causal=True, scale=self.scale, cap=self.cap)
        mixed_BTC = mixed_BHTD.transpose(1, 2).reshape(B, T, -1)
        if self.scales_after is None:
            x_BTC = self.out.add(x_BTC, mixed_BTC)
            return self.down.add(x_BTC, self._gated(x_BTC))
        x_BTC = x_BTC + self._norm(self.out(mixed_BTC)) * self.scales_after[0]
        return x_BTC + self._norm(self.down(self._gated(x_BTC))) * self.scales_after[1]

    def _gated(self, x_BTC: Tensor) -> Tensor:
        gate, up = self.up(self._norm(x_BTC)).chunk(2, dim=-1)
        out: Tensor = self.gate(gate) * up
        return out

    def _norm(self, x: Tensor) -> Tensor:
        """RMSNorm without its weight, in half the time of PyTorch's."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(self.eps, length, length, value=1 / x.shape[-1]).rsqrt_()


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
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child))
    return model
