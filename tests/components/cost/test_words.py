"""Numbers in few digits."""

import pytest

from components.cost.words import duration, short


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (999.4, "", "999"),
        (999.6, "", "1.0k"),
        (4_000_512, "", "4.0M"),
        (124e6, "", "124M"),
        (2.6e9, "", "2.6B"),
        (2.9e13, "FLOP", "29 TFLOP"),
        (3.2e21, "FLOP", "3.2 ZFLOP"),
        (12, "Wh", "12 Wh"),
    ],
)
def test_numbers_are_short(number: float, unit: str, text: str) -> None:
    assert short(number, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5 s"),
        (89, "89 s"),
        (95, "1.6 min"),
        (5000, "83 min"),
        (6000, "1.7 h"),
        (40 * 3600, "40 h"),
        (1e6, "12 days"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
