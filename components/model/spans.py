"""T5's span corruption: a text with masked spans, and the target that fills them (https://arxiv.org/abs/1910.10683)."""

from collections.abc import Iterator, Sequence

import numpy as np


def corrupt_spans(
    pieces: Sequence[np.ndarray], sentinels: Sequence[int], end_of_text: int
) -> tuple[np.ndarray, np.ndarray]:
    """The source, and the target with its start token, from the pieces of a text, which are kept and masked in turn.

    In the source a sentinel replaces each masked piece; the target is each of these after its sentinel, and the end.
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
    """What a model generated after each of the sentinels, up to the next one; empty where it left one out."""
    places = {token: place for place, token in enumerate(written) if token in sentinels}
    ends = [*sorted(places.values()), len(written)]
    for sentinel in sentinels:
        start = places.get(sentinel, len(written))
        yield list(written[start + 1 : next((end for end in ends if end > start), len(written))])
