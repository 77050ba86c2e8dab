"""Keys and values of the beginnings of texts, kept for others that begin alike."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor

BLOCK = 16  # tokens that are kept, found and dropped together

_Key = tuple[int, tuple[int, ...]]
"""The number of the block in front, 0 for none, and the tokens: equal keys have equal texts up to their end."""


class Prefixes:
    """Blocks of tokens with their keys and values; those that were not used for longest are dropped."""

    def __init__(self, kept: int) -> None:
        """kept: how many tokens there is room for."""
        self._room = kept // BLOCK
        self._blocks: OrderedDict[_Key, tuple[int, Tensor]] = OrderedDict()
        self._numbers = 0

    def find(self, tokens: Sequence[int]) -> list[Tensor]:
        """The blocks that a text begins with, without its last token, which has to be read for what comes next."""
        keys: list[_Key] = []
        found: list[Tensor] = []
        front = 0
        for begin in range(0, len(tokens) - BLOCK, BLOCK):
            key = (front, tuple(tokens[begin : begin + BLOCK]))
            if key not in self._blocks:
                break
            front, block = self._blocks[key]
            keys.append(key)
            found.append(block)
        self._use(keys)
        return found

    def keep(self, tokens: Sequence[int], copy: Callable[[int, int], Tensor]) -> None:
        """Keep the whole blocks of a text; `copy` returns the keys and values from one place to another."""
        keys: list[_Key] = []
        front = 0
        for begin in range(0, min(len(tokens), self._room * BLOCK) - BLOCK + 1, BLOCK):
            key = (front, tuple(tokens[begin : begin + BLOCK]))
            if key not in self._blocks:
                self._numbers += 1
                self._blocks[key] = (self._numbers, copy(begin, begin + BLOCK))
            front, _ = self._blocks[key]
            keys.append(key)
        self._use(keys)
        while len(self._blocks) > self._room:
            self._blocks.popitem(last=False)

    def _use(self, keys: Sequence[_Key]) -> None:
        """A block counts as used after those that follow it, so that it is not dropped before them."""
        for key in reversed(keys):
            self._blocks.move_to_end(key)
