"""What the rest of the house asks of a model: the interface of our Transformer and of the modules of `transformers`.

Shapes: B rows, T tokens that are predicted from, S tokens of the source of an encoder-decoder, V outputs of the head
(tokens or labels).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from components.model.config import Config

BlockShape = tuple[int, int]
"""Rows and columns of the blocks of a matrix, each of which Muon orthogonalizes separately."""


def training_flops(matrices: Iterable[Tensor]) -> int:
    """Floating-point operations per token in the products with matrices, forward and backward.

    6 per weight; 4 where it is frozen, and has no gradient.
    """
    return sum((6 if matrix.requires_grad else 4) * matrix.numel() for matrix in matrices)


class GenerationState(Protocol):
    """The rows that a model reads in parallel while it generates, and its state for them."""

    def advance(self, tokens_BT: Tensor, *, last_only: bool = False) -> Tensor:
        """Read more tokens; returns the logits after each, [B, T, V], or after the last, [B, 1, V]."""

    def select(self, rows: Tensor) -> "GenerationState":
        """The state of the rows with these numbers, which may repeat."""


class LanguageModel(nn.Module, ABC):
    """A model that can be trained, evaluated, and asked."""

    config: Config
    compilable: bool
    """Whether `compile_parts` makes it faster; if not, the setting `compile: always` is refused."""
    compiled: bool = False

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    @abstractmethod
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

        Segments number the parts of each row, which do not see each other; without them a row is one text. `z_loss` is
        the weight of the squared log-normaliser.
        """

    @abstractmethod
    def logits(
        self,
        tokens_BT: Tensor,
        lengths_B: Tensor | None = None,
        source_BS: Tensor | None = None,
        source_lengths_B: Tensor | None = None,
    ) -> Tensor:
        """The logits at each token of rows that are padded at their ends, [B, T, V]; without lengths nothing is."""

    @abstractmethod
    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """What the last layer makes of rows without padding, [B, T, C]; in an encoder-decoder, that of the encoder."""

    @abstractmethod
    def read(self, prompts: Sequence[Sequence[int]], room: int, start: int | None) -> tuple[GenerationState, Tensor]:
        """Read prompts, with room for more tokens; also returns the logits of the first token after each, [B, 1, V].

        In an encoder-decoder the prompt goes to the encoder, and the decoder begins with the token `start`, unless the
        configuration says which (`Config.decoder_start`).
        """

    @abstractmethod
    def blocks(self) -> Iterator[nn.Module]:
        """The layers of the encoder, then those of the decoder."""

    @abstractmethod
    def matrices(self) -> dict[str, BlockShape]:
        """The weights that Muon trains, by their names: the matrices of the layers, each with the shape of its blocks.

        AdamW trains all others.
        """

    @abstractmethod
    def checkpoint_activations(self, enabled: bool) -> None:
        """Whether a training step keeps only the inputs of the blocks, and computes the rest again for the gradient."""

    @abstractmethod
    def compile_parts(self) -> None:
        """Compile what is worth compiling."""

    @abstractmethod
    def leave_uncompiled(self) -> None:
        """Undo `compile_parts`."""

    @abstractmethod
    def multiplied_weights(self) -> int:
        """The number of weights of the matrices that a token passes through: those of the blocks, and the head."""

    @abstractmethod
    def flops_per_token(self, length: int, source_length: int = 0) -> int:
        """Floating-point operations per token of a row, forward and backward."""

    @abstractmethod
    def flops_per_target(self) -> int:
        """FLOPs that `loss` saves on a processor for a token without a target."""

    @abstractmethod
    def labelled(self, labels: Sequence[str], seed: int) -> Self:
        """The encoder with a new, randomly initialized head for labels."""

    @abstractmethod
    def resized(self, vocab_size: int, max_sequence_length: int) -> Self:
        """The model for a larger vocabulary and another window.

        A new token starts as the mean of the others, so that none stands out. Raises `BadSettings` for a window that
        the model cannot have.
        """
