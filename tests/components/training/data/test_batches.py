"""A batch splits into its rows, and comes together again."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.training.data.batches import Batch


def batch(rows: int) -> Batch:
    ids = torch.arange(rows * 4).view(rows, 4)
    return Batch(ids, ids + 1, None, ids[:, :2])


@settings(deadline=None)  # the first call of torch takes its time
@given(st.integers(1, 9), st.integers(1, 9))
def test_a_batch_splits_into_its_rows_and_back(rows: int, size: int) -> None:
    parts = batch(rows).split(size)
    assert all(len(part) == size for part in parts[:-1])
    whole = Batch.cat(parts)
    assert whole.targets_BT.equal(batch(rows).targets_BT)
    assert whole.source_BS is not None
    assert whole.source_BS.equal(batch(rows).tokens_BT[:, :2])
    assert whole.segments_BT is None
