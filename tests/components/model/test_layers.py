"""Attention with gradients on a processor: that of PyTorch, to the last masked pair."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model.attention import attention


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([(4, 4), (4, 2), (4, 1)]), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from(["all", "causal", "masked"]),
)  # fmt: skip
def test_it_is_that_of_pytorch(rows: int, heads: tuple[int, int], queries: int, keys: int, seen: str) -> None:
    chance = torch.Generator().manual_seed(queries)
    keys = queries if seen == "causal" else keys
    shapes = [(rows, heads[0], queries, 8), (rows, heads[1], keys, 8), (rows, heads[1], keys, 8)]
    mask = torch.rand(rows, 1, queries, keys, generator=chance) < 0.5
    mask[..., 0] = True
    given_mask = mask if seen == "masked" else None
    results = []
    for ours in (True, False):
        generator = torch.Generator().manual_seed(1)
        parts = [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]
        out = (
            attention(*parts, given_mask, causal=seen == "causal")
            if ours
            else F.scaled_dot_product_attention(
                *parts, attn_mask=given_mask, is_causal=seen == "causal", enable_gqa=True
            )
        )
        (out * torch.randn(out.shape, generator=generator)).sum().backward()
        results.append([out, *(part.grad for part in parts)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 5])
def test_without_gradients_it_gives_the_same(length: int) -> None:
    q, k, v = (torch.randn(2, 4, length, 8) for _ in range(3))
    with_gradients = attention(q.clone().requires_grad_(), k, v, None, causal=True)
    torch.testing.assert_close(attention(q, k, v, None, causal=True), with_gradients, atol=1e-5, rtol=1e-4)
