"""N-gram embeddings: what the last tokens mean together, looked up before the first layer.

docs/decisions.md, "Bigrams are off by default"
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MULTIPLIER = 6364136223846793005  # Knuth's for 64 bits (MMIX); products wrap around
_MIXED = 33  # bits, above which every token has an influence


class NgramEmbedding(nn.Module):
    """For each token the sum of the table entries of the 2, 3, ... tokens that end with it.

    A larger vocabulary of inputs (https://arxiv.org/abs/2501.16975), whose n-grams share rows by their hash
    (https://arxiv.org/abs/1709.03933).
    """

    def __init__(self, rows: Sequence[int], width: int) -> None:
        super().__init__()
        self.rows = tuple(rows)
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in rows)

    def forward(self, tokens_BT: Tensor, positions_BT: Tensor, previous_BP: Tensor | None = None) -> Tensor:
        """[B, T, C] for tokens at these positions of their texts, which limit the length of an n-gram.

        previous_BP: the tokens in front of them, as many as the longest n-gram reaches back, or all.
        """
        length, reach = tokens_BT.shape[1], len(self.rows)
        known = tokens_BT if previous_BP is None else torch.cat([previous_BP, tokens_BT], dim=1)
        known = F.pad(known, (reach, 0))  # any value: positions keep n-grams from reaching there
        hash_BT = _mixed(tokens_BT)
        sum_BTC = torch.zeros((), device=tokens_BT.device)
        for back, (rows, table) in enumerate(zip(self.rows, self.tables, strict=True), start=1):
            end = known.shape[1] - back
            hash_BT = _mixed(hash_BT + known[:, end - length : end])
            found_BTC = table((hash_BT >> _MIXED) % rows)
            sum_BTC = sum_BTC + found_BTC * (positions_BT >= back)[..., None]
        return sum_BTC


def _mixed(hash_BT: Tensor) -> Tensor:
    return (hash_BT + 1) * _MULTIPLIER
