"""What the last tokens are together, looked up before any layer has to find it out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST = 4  # tokens

_MULTIPLIER = 6364136223846793005  # Knuth's for 64 bits (MMIX); products wrap around
_MIXED = 33  # bits, above which every token has its say


class NgramEmbedding(nn.Module):
    """For each token the sum of the rows of those n-grams, of 2 to 4 tokens, that end with it.

    Their hashes share one table (https://arxiv.org/abs/1709.03933): those that meet in a row are told apart by the
    other rows of the sum. That larger vocabularies of inputs pay: https://arxiv.org/abs/2501.16975.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(rows, width, mode="sum")

    def forward(self, tokens_BT: Tensor, positions_BT: Tensor, before_BP: Tensor | None = None) -> Tensor:
        """[B, T, C] for tokens at these places of their texts, which say how long an n-gram can be.

        before_BP: the tokens in front of them, at least as many as the longest n-gram takes.
        """
        rows_BTN = _hashes(tokens_BT, before_BP) % self.table.num_embeddings
        within_BTN = positions_BT[..., None] >= torch.arange(1, LONGEST, device=tokens_BT.device)
        weights_BTN = within_BTN.expand_as(rows_BTN).to(self.table.weight.dtype)
        sum_BTC: Tensor = self.table(rows_BTN.flatten(0, 1), per_sample_weights=weights_BTN.flatten(0, 1))
        return sum_BTC.view(*tokens_BT.shape, -1)


def _hashes(tokens_BT: Tensor, before_BP: Tensor | None) -> Tensor:
    """Of the last 2, 3, ... tokens up to each one, [B, T, LONGEST - 1]; where there are fewer, of anything."""
    length = tokens_BT.shape[1]
    known = tokens_BT if before_BP is None else torch.cat([before_BP, tokens_BT], dim=1)
    known = F.pad(known, (LONGEST - 1, 0))
    hash_BT, hashes = torch.zeros_like(tokens_BT), []
    for back in range(LONGEST):
        end = known.shape[1] - back
        hash_BT = (hash_BT + known[:, end - length : end] + 1) * _MULTIPLIER
        hashes.append(hash_BT >> _MIXED)
    return torch.stack(hashes[1:], dim=-1)
