"""Models of `transformers` that our layers cannot represent, as `transformers` computes them.

The module stays in evaluation mode: its dropout is off in training too, as our own models have none, so that a run
that is resumed ends with the same bits. Packed rows are cut into their segments, and each is read by itself, padded,
from position 0 on: exact for every kind of attention and of positions.
docs/decisions.md, "Modules of `transformers` read segments, not rows"
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from components.core.errors import BadData, BadSettings
from components.model import hf_classes, segments
from components.model.hf_classes import ModuleConfig
from components.model.hf_reading import ModuleReading
from components.model.interface import BlockShape, LanguageModel, training_flops
from components.model.loss import IGNORED


class HfModule(LanguageModel):
    """A model class of `transformers` behind our interface."""

    config: ModuleConfig
    compilable = False

    def __init__(self, module: Any, config: ModuleConfig) -> None:
        super().__init__()
        self.module: Any = module
        self.config = config
        self._takes = frozenset(signature(module.forward).parameters)
        super().train(False)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 (all modules take it)
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, tokens_BT: Tensor, **inputs: Any) -> Tensor:
        """The logits, [B, T, V]."""
        out: Tensor = self.module(input_ids=tokens_BT, **self._accepted(inputs)).logits
        return out

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
        pieces = segments.pieces(tokens_BT, segments_BT)
        sources = None if source_BS is None else segments.pieces(source_BS, source_segments_BS)
        total = torch.zeros((), device=tokens_BT.device)
        for group in segments.of_similar_length(pieces, sources):
            here = [pieces[place] for place in group]
            tokens, lengths_B = segments.cut(tokens_BT, here, self.config.padding)
            targets, _ = segments.cut(targets_BT, here, IGNORED)
            source: tuple[Tensor | None, Tensor | None] = (None, None)
            if source_BS is not None and sources is not None:
                source = segments.cut(source_BS, [sources[place] for place in group], self.config.padding)
            total = total + _nats(self.logits(tokens, lengths_B, *source), targets, z_loss)
        return total

    def logits(
        self,
        tokens_BT: Tensor,
        lengths_B: Tensor | None = None,
        source_BS: Tensor | None = None,
        source_lengths_B: Tensor | None = None,
    ) -> Tensor:
        mask = segments.not_padding(tokens_BT, lengths_B)
        if source_BS is None:
            return self(tokens_BT, attention_mask=mask)  # type: ignore[no-any-return]
        return self(  # type: ignore[no-any-return]
            source_BS,
            attention_mask=segments.not_padding(source_BS, source_lengths_B),
            decoder_input_ids=self._begun(tokens_BT),
            decoder_attention_mask=mask,
        )

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        two = self.config.architecture == "encoder_decoder"
        out: Tensor = (self.module.get_encoder() if two else _encoder(self.module))(tokens_BT).last_hidden_state
        return out

    def read(self, prompts: Sequence[Sequence[int]], room: int, start: int | None) -> tuple[ModuleReading, Tensor]:  # noqa: ARG002 (its cache grows)
        if self.config.architecture == "encoder_decoder":
            first = start if self.config.start is None else self.config.start
            assert first is not None, "the decoder of an encoder-decoder needs a first token"
            return ModuleReading.of_sources(self.module, prompts, self.config.padding, first)
        return ModuleReading.of_prompts(self.module, prompts, self.config.padding)

    def blocks(self) -> Iterator[nn.Module]:
        yield from hf_classes.layers(self.module)

    def matrices(self) -> dict[str, BlockShape]:
        """Whole matrices: which rows belong to which head differs between families."""
        inside = set(hf_classes.matrices(self.module))
        return {name: (len(weight), weight.shape[1]) for name, weight in self.named_parameters() if weight in inside}

    def checkpoint_activations(self, enabled: bool) -> None:
        for block in self.blocks() if enabled else ():
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)

    def compile_parts(self) -> None:
        raise AssertionError("a module of transformers is not compilable, so that nothing asks for this")

    def leave_uncompiled(self) -> None:
        pass

    def multiplied_weights(self) -> int:
        head = self.module.get_output_embeddings()
        return sum(rows * columns for rows, columns in self.matrices().values()) + (head.weight.numel() if head else 0)

    def flops_per_token(self, length: int, source_length: int = 0) -> int:
        """As of our Transformer, with half of the matrices of an encoder-decoder in each half."""
        matrices = self._flops_of_matrices()
        pair = 12 * self.config.num_layers * self.config.hidden_size
        if not source_length:
            return matrices + pair * length // (2 if self.config.architecture == "decoder" else 1)
        attention = pair * (source_length**2 + length * source_length + length**2 // 2)
        return matrices // 2 + attention // (length + source_length)

    def _flops_of_matrices(self) -> int:
        blocks, head = self.matrices(), self.module.get_output_embeddings()
        inside = [weight for name, weight in self.named_parameters() if name in blocks]
        return training_flops([*inside, *([head.weight] if head else [])])

    def flops_per_target(self) -> int:
        return 0

    def labelled(self, labels: Sequence[str], seed: int) -> Self:
        """The family's own head for token classification on the same encoder."""
        config = self.config.with_labels(labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = hf_classes.build(config)
        lacking, _ = _encoder(module).load_state_dict(_encoder(self.module).state_dict(), strict=False)
        if lacking:
            raise BadData(f"a {config.content['model_type']} with labels has weights that the base lacks: {lacking[0]}")
        return type(self)(module, config)

    def resized(self, vocab_size: int, max_sequence_length: int) -> Self:
        window = self.config.max_sequence_length
        if self.config.learned_positions and max_sequence_length > window:
            raise BadSettings(f"sequence_length is {max_sequence_length}, but the model has learned {window} positions")
        module = copy.deepcopy(self.module)
        if vocab_size > self.config.vocab_size:
            _add_rows(module, vocab_size)
        config = replace(self.config, vocab_size=vocab_size, max_sequence_length=max_sequence_length)
        return type(self)(module, config)

    def _begun(self, tokens_BT: Tensor) -> Tensor:
        """Targets of a decoder after the first token that this one was pretrained with."""
        if self.config.start is None:
            return tokens_BT
        first_B1 = torch.full_like(tokens_BT[:, :1], self.config.start)
        return torch.cat([first_B1, tokens_BT[:, 1:]], dim=1)

    def _accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs without those that are left out; no cache, which training has no use for."""
        if "use_cache" in self._takes:
            inputs["use_cache"] = False
        return {name: value for name, value in inputs.items() if value is not None}


def _encoder(module: Any) -> Any:
    """The module without its head."""
    return module.base_model


def _add_rows(module: Any, vocab_size: int) -> None:
    """More rows in the tables, each the mean of the old ones, also the bias of the head where it has one."""
    count = module.get_input_embeddings().num_embeddings
    module.resize_token_embeddings(vocab_size, mean_resizing=False)
    head = module.get_output_embeddings()
    tables = [module.get_input_embeddings().weight, *([head.weight] if head is not None else [])]
    if head is not None and getattr(head, "bias", None) is not None:
        tables.append(head.bias)
    with torch.no_grad():
        for table in tables:
            table[count:] = table[:count].mean(0)


def _nats(logits_BTV: Tensor, targets_BT: Tensor, z_loss: float) -> Tensor:
    """The cross-entropy, summed in nats; only logits with a target are computed with in fp32."""
    wanted_BT = targets_BT != IGNORED
    logits_NV = logits_BTV[wanted_BT].float()
    nats = F.cross_entropy(logits_NV, targets_BT[wanted_BT], reduction="sum")
    return nats + z_loss * logits_NV.logsumexp(-1).square().sum() if z_loss else nats
