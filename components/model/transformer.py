"""The Transformer in its three shapes, in plain PyTorch.

- decoder: GPT. With the default settings exactly Qwen3 (https://arxiv.org/abs/2505.09388).
- encoder: BERT (https://arxiv.org/abs/1810.04805) with modern layers, as EuroBERT (https://arxiv.org/abs/2503.05500).
- encoder_decoder: T5 (https://arxiv.org/abs/1910.10683), and the original (https://arxiv.org/abs/1706.03762)
  exactly, with sinusoidal positions, LayerNorm after each layer, and ReLU.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from components.core.errors import BadSettings
from components.model.config import LayerKind, ModelConfig
from components.model.decode_state import DecodeState, LayerCache
from components.model.interface import BlockShape, LanguageModel, training_flops
from components.model.layers import Block, Context, norm
from components.model.loss import IGNORED, cross_entropy, soft_cap, with_targets
from components.model.masks import PADDING_SEGMENT, not_padding, same_segment, within_window
from components.model.ngrams import NgramEmbedding
from components.model.positions import RotaryEmbedding, SinusoidalEmbedding

__all__ = ["IGNORED", "PADDING_SEGMENT", "Stack", "Transformer", "same_segment"]


class Stack(nn.Module):
    """The encoder or the decoder: blocks on one residual stream, [B, T, C] to [B, T, C].

    With `wanted_N`, counted through the rows, the last MLP and norm compute those positions alone: to [N, C].
    """

    def __init__(self, config: ModelConfig, *, causal: bool, reads_source: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(config, causal=causal, reads_source=reads_source) for _ in range(config.num_layers)
        )
        self.kinds = config.layer_kinds
        self.norm = norm(config, config.hidden_size) if config.norm_position != "post" else nn.Identity()
        self.activation_checkpointing = False
        """Activation checkpointing: keep only the inputs of the blocks, and compute the rest again for the gradient."""

    def forward(
        self,
        x_BTC: Tensor,
        contexts: Mapping[LayerKind, Context],
        cache: Sequence[LayerCache] | None = None,
        wanted_N: Tensor | None = None,
    ) -> Tensor:
        for number, (block, kind) in enumerate(zip(self.blocks, self.kinds, strict=True), 1):
            last, context = number == len(self.blocks), contexts[kind]
            apply = block if wanted_N is None or not last else partial(block, wanted_N=wanted_N)
            if self.activation_checkpointing and self.training:
                x_BTC = checkpoint(apply, x_BTC, context, use_reentrant=False)
            else:
                x_BTC = apply(x_BTC, context, cache[number - 1] if cache else None)
        out: Tensor = self.norm(x_BTC)
        return out


class Transformer(LanguageModel):
    """Tokens [B, T] to logits [B, T, V], or [B, T, labels] when the head chooses from labels."""

    config: ModelConfig
    compilable = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        length, width = config.max_sequence_length, config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.ngram_embedding = NgramEmbedding(config.ngram_rows, width) if config.ngram_rows else None
        traits = config.traits
        self.rotary = RotaryEmbedding(config, config.rope_theta, traits.rope_scaling)
        self.sliding_rotary = self.rotary
        if traits.sliding_rope_theta is not None:
            self.sliding_rotary = RotaryEmbedding(config, traits.sliding_rope_theta, None)
        self.position_embedding: nn.Module | None = None
        if config.positions != "rotary":
            kind = nn.Embedding if config.positions == "learned" else SinusoidalEmbedding
            self.position_embedding = kind(length, width)
        self.encoder: Stack | None = None
        self.decoder: Stack | None = None
        if config.architecture != "decoder":
            self.encoder = Stack(config, causal=False, reads_source=False)
        if config.architecture != "encoder":
            self.decoder = Stack(config, causal=True, reads_source=self.encoder is not None)
        self.head = nn.Linear(width, config.num_outputs, bias=False)
        if config.tie_embeddings and not config.labels:
            self.head.weight = self.embedding.weight

    def forward(
        self,
        tokens_BT: Tensor,
        *,
        mask: Tensor | None = None,
        positions_BT: Tensor | None = None,
        memory_BSC: Tensor | None = None,
        memory_mask: Tensor | None = None,
        previous_BP: Tensor | None = None,
        cache: Sequence[LayerCache] | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """The logits of the decoder, or of the encoder where there is no decoder.

        mask: which tokens each one sees, bool [B, 1, T, S]; by default a decoder is causal and an encoder sees all.
        positions_BT: by default 0, 1, ... memory_BSC: from `encode`, for an encoder-decoder, with the mask of the
        positions that may be seen. cache: one per layer of the decoder; the new tokens are added to it. previous_BP:
        the last tokens in it, for the n-grams that begin there. last_only: the logits of the last token alone, [B, 1,
        V].
        """
        hidden_BTC = self._hidden(tokens_BT, mask, positions_BT, memory_BSC, memory_mask, previous_BP, cache)
        if last_only:
            hidden_BTC = hidden_BTC[:, -1:]
        return soft_cap(self.head(hidden_BTC), self.config.logit_soft_cap)

    def encode(self, source_BS: Tensor, mask: Tensor | None = None, positions_BS: Tensor | None = None) -> Tensor:
        """The output of the encoder of an encoder-decoder for a source, [B, S, C]: the memory of the decoder."""
        assert self.encoder is not None, "a decoder has no encoder"
        contexts = self._contexts(source_BS, mask, positions_BS)
        memory_BSC: Tensor = self.encoder(self.embed(source_BS, positions_BS), contexts)
        return memory_BSC

    def loss(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor,
        segments_BT: Tensor | None = None,
        source_BS: Tensor | None = None,
        source_segments_BS: Tensor | None = None,
        *,
        z_loss: float = 0.0,
    ) -> Tensor:
        """The cross-entropy, summed in nats over the positions whose target is not `IGNORED`.

        Segments number the parts of each row, and attention does not cross from one to another; without them a row
        is one text. `z_loss` is the weight of the squared log-normaliser (PaLM, https://arxiv.org/abs/2204.02311).
        """
        memory_BSC = memory_mask = None
        if source_BS is not None:
            source_mask = same_segment(source_segments_BS, source_segments_BS)
            memory_BSC = self.encode(source_BS, source_mask, self._positions(source_segments_BS))
            memory_mask = same_segment(segments_BT, source_segments_BS)
        mask = same_segment(segments_BT, segments_BT, causal=self.decoder is not None)
        wanted_N, targets_N = with_targets(targets_BT.flatten())
        hidden = self._hidden(tokens_BT, mask, self._positions(segments_BT), memory_BSC, memory_mask, wanted_N=wanted_N)
        return cross_entropy(
            hidden.flatten(0, -2),
            self.head.weight,
            targets_N,
            cap=self.config.logit_soft_cap,
            z_loss=z_loss,
            compiled=self.compiled,
        )

    def logits(
        self,
        tokens_BT: Tensor,
        lengths_B: Tensor | None = None,
        source_BS: Tensor | None = None,
        source_lengths_B: Tensor | None = None,
    ) -> Tensor:
        if source_BS is not None:
            mask = not_padding(source_BS, source_lengths_B)
            return self(tokens_BT, memory_BSC=self.encode(source_BS, mask), memory_mask=mask)  # type: ignore[no-any-return]
        # In a decoder no token sees the padding after it.
        mask = not_padding(tokens_BT, lengths_B) if self.decoder is None else None
        return self(tokens_BT, mask=mask)  # type: ignore[no-any-return]

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        return self.encode(tokens_BT) if self.encoder and self.decoder else self._hidden(tokens_BT, *[None] * 4)

    def read(self, prompts: Sequence[Sequence[int]], room: int, start: int | None) -> tuple[DecodeState, Tensor]:
        return DecodeState.read(self, prompts, room, start)

    def compile_parts(self) -> None:
        """Compile the blocks and the loss, each at its first use.

        A graph of the whole model is hardly faster, and takes longer to compile with each layer.
        docs/decisions.md, "Blocks are compiled, not models"
        """
        self.compiled = True
        for block in self.blocks():
            block.compile_parts()

    def leave_uncompiled(self) -> None:
        """Undo `compile_parts`."""
        self.compiled = False
        for block in self.blocks():
            block.leave_uncompiled()

    def blocks(self) -> Iterator[Block]:
        """The blocks of the encoder, then those of the decoder."""
        for stack in self.stacks():
            yield from stack.blocks  # type: ignore[misc]  # ModuleList does not say of what

    def stacks(self) -> Iterator[Stack]:
        """The encoder and the decoder, as far as they exist."""
        yield from (stack for stack in (self.encoder, self.decoder) if stack is not None)

    def checkpoint_activations(self, enabled: bool) -> None:
        for stack in self.stacks():
            stack.activation_checkpointing = enabled

    def matrices(self) -> dict[str, BlockShape]:
        """Each attention head is a block: rows of the matrix of queries, keys and values, columns of the outputs'."""
        head_dim, found = self.config.head_dim, {}
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and name.startswith(("encoder.", "decoder.")):
                rows, columns = weight.shape
                if "attention." in name and ".adapters." not in name:
                    rows, columns = (rows, head_dim) if name.endswith("attention.out.weight") else (head_dim, columns)
                found[name] = rows, columns
        return found

    def multiplied_weights(self) -> int:
        return sum(weight.numel() for part in (*self.blocks(), self.head) for weight in _matrices(part))

    def labelled(self, labels: Sequence[str], seed: int) -> "Transformer":
        changed = Transformer(self.config.with_labels(labels))
        kept = {name: weight for name, weight in self.state_dict().items() if not name.startswith("head.")}
        changed.load_state_dict(kept, strict=False)
        nn.init.normal_(changed.head.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
        return changed

    def resized(self, vocab_size: int, max_sequence_length: int) -> "Transformer":
        window, longest = self.config.max_sequence_length, self.config.longest_window
        if self.config.positions == "learned" and window != max_sequence_length:
            raise BadSettings(f"pretrain.sequence_length has to be {window}: the model has learned its positions")
        if longest is not None and max_sequence_length > longest:
            raise BadSettings(f"pretrain.sequence_length may be at most {longest}: beyond it the model reads otherwise")
        config = replace(self.config, vocab_size=vocab_size, max_sequence_length=max_sequence_length)
        changed, weights = Transformer(config), self.state_dict()
        for name, table in weights.items():
            if name in ("embedding.weight", "head.weight"):
                extra = table.mean(0, keepdim=True).expand(vocab_size - len(table), -1)
                weights[name] = torch.cat([table, extra])
        changed.load_state_dict(weights)
        return changed

    def initialize(self, generator: torch.Generator, *, zero_projections: bool) -> None:
        """Initialize as GPT-2: normal weights, in the projections into the residual stream smaller with depth, or zero.

        With zeros each block begins as the identity (recommended by muP too, https://arxiv.org/abs/2203.03466).
        """
        depth = sum(2 for _ in self.blocks())
        into_residual = 0.0 if zero_projections else 0.02 / depth**0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                std = into_residual if name.endswith(("attention.out.weight", "mlp.down.weight")) else 0.02
                nn.init.normal_(weight, std=std, generator=generator)

    def flops_per_token(self, length: int, source_length: int = 0) -> int:
        """Floating-point operations per token of a row, forward and backward.

        6 per weight of the matrices that the token passes through (4 where it is frozen, and has no gradient), 12 per
        pair of query and key for each unit of width, and half of that where attention is causal
        (https://arxiv.org/abs/2204.02311, appendix B).
        """
        config = self.config
        pair = 12 * config.num_layers * config.num_heads * config.head_dim
        head = _flops(self.head) * length
        if self.decoder is None:
            return (_flops(self.encoder) * length + pair * length**2 + head) // length
        decoder = _flops(self.decoder) * length + pair * length**2 // 2 + head
        if self.encoder is None:
            return decoder // length
        # The memory passes through the encoder, and through the matrix for keys and values of each cross-attention.
        memory = sum(_flops(block.cross_attention.key_value) for block in self.blocks() if block.reads_source)
        encoder = (_flops(self.encoder) + memory) * source_length + pair * source_length**2
        cross = pair * length * source_length - memory * length
        return (encoder + decoder + cross) // (length + source_length)

    def flops_per_target(self) -> int:
        """FLOPs that `loss` saves on a processor for a token without a target: those of the last MLP and the head."""
        *_, last = self.blocks()
        return _flops(last.mlp) + _flops(self.head)

    def _hidden(
        self,
        tokens_BT: Tensor,
        mask: Tensor | None,
        positions_BT: Tensor | None,
        memory_BSC: Tensor | None,
        memory_mask: Tensor | None,
        previous_BP: Tensor | None = None,
        cache: Sequence[LayerCache] | None = None,
        wanted_N: Tensor | None = None,
    ) -> Tensor:
        read = cache[0].own.length if cache else 0
        contexts = self._contexts(tokens_BT, mask, positions_BT, memory_BSC, memory_mask, read)
        stack = self.decoder or self.encoder
        assert stack is not None
        hidden: Tensor = stack(self.embed(tokens_BT, positions_BT, previous_BP), contexts, cache, wanted_N)
        return hidden

    def _contexts(
        self,
        tokens_BT: Tensor,
        mask: Tensor | None,
        positions_BT: Tensor | None,
        memory_BSC: Tensor | None = None,
        memory_mask: Tensor | None = None,
        read: int = 0,
    ) -> dict[LayerKind, Context]:
        """What the layers of each kind share, computed once for all of them; `read` tokens are in the cache."""
        contexts: dict[LayerKind, Context] = {}
        for kind in dict.fromkeys(self.config.layer_kinds):
            rotary = self.sliding_rotary if kind.sliding else self.rotary
            rotation = rotary(tokens_BT.shape[1], positions_BT) if kind.rotated else None
            seen = within_window(mask, tokens_BT, read, self.config.traits.sliding_window) if kind.sliding else mask
            contexts[kind] = Context(rotation, seen, memory_BSC, memory_mask)
        return contexts

    def _positions(self, segments_BT: Tensor | None) -> Tensor | None:
        """The position of each token in its segment; rotary positions are relative and need none, but n-grams do."""
        if segments_BT is None or (self.config.positions == "rotary" and self.ngram_embedding is None):
            return None
        places = torch.arange(segments_BT.shape[1], device=segments_BT.device)
        begins = segments_BT.diff(dim=1, prepend=segments_BT[:, :1] - 1) != 0
        return places - (places * begins).cummax(1).values

    def embed(self, tokens_BT: Tensor, positions_BT: Tensor | None, previous_BP: Tensor | None = None) -> Tensor:
        """What the first block reads, [B, T, C]: of tokens at these positions, and of the n-grams that they end."""
        x_BTC: Tensor = self.embedding(tokens_BT)
        if self.config.traits.embedding_scale is not None:
            x_BTC = x_BTC * self.config.traits.embedding_scale
        if positions_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        if self.ngram_embedding is not None:
            x_BTC = x_BTC + self.ngram_embedding(tokens_BT, positions_BT, previous_BP)
        if self.position_embedding is None:
            return x_BTC
        if self.config.positions == "sinusoidal":
            x_BTC = x_BTC * self.config.hidden_size**0.5  # or the sinusoids, of amplitude 1, would drown the tokens
        out: Tensor = x_BTC + self.position_embedding(positions_BT)
        return out


def _matrices(module: nn.Module | None) -> list[Tensor]:
    assert module is not None
    return [weight for weight in module.parameters() if weight.ndim == 2]


def _flops(module: nn.Module | None) -> int:
    return training_flops(_matrices(module))
