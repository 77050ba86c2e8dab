"""A text with holes as T5 reads it, and what it writes to fill them (https://arxiv.org/abs/1910.10683)."""

from collections.abc import Iterator, Sequence

import numpy as np


def corrupt_spans(
    pieces: Sequence[np.ndarray], sentinels: Sequence[int], end_of_text: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of a text, by turns kept and hidden: the source, and the target behind the start token.

    In the source a sentinel stands for each hidden piece; the target is each of these behind its sentinel, and the end.
    """
    source: list[Sequence[int] | np.ndarray] = []
    target: list[Sequence[int] | np.ndarray] = [[end_of_text]]
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            source.append(piece)
        else:
            hole = [sentinels[number // 2]]
            source.append(hole)
            target += [hole, piece]
    return np.concatenate(source), np.concatenate([*target, [end_of_text]])


def filled(written: Sequence[int], sentinels: Sequence[int]) -> Iterator[list[int]]:
    """What a model wrote behind each of the sentinels, up to the next one; nothing where it left one out."""
    places = {token: place for place, token in enumerate(written) if token in sentinels}
    ends = [*sorted(places.values()), len(written)]
    for sentinel in sentinels:
        start = places.get(sentinel, len(written))
        yield list(written[start + 1 : next((end for end in ends if end > start), len(written))])
