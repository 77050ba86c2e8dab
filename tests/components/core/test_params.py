"""Settings: what is accepted, and the one line that says what is not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from annotated_types import Ge, Gt
from hypothesis import given
from hypothesis import strategies as st

from components.core import params
from components.core.errors import BadSettings


@dataclass(frozen=True, kw_only=True)
class Inner:
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    depth: Annotated[int, Ge(1)]
    width: Annotated[int, Ge(1)] | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: Inner
    rate: Annotated[float, Gt(0)]
    betas: tuple[float, float]
    kind: Literal["linear", "cosine"]


GOOD = {"model": {"depth": 2}, "rate": 0.1, "betas": [0.9, 0.95], "kind": "linear"}


def test_a_section_becomes_its_dataclass() -> None:
    assert params.parse(GOOD, Outer, "x") == Outer(model=Inner(depth=2), rate=0.1, betas=(0.9, 0.95), kind="linear")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modle": 1}, ["x.modle", "did you mean `model`?"]),
        ({"model": {"depth": 2, "widht": 3}}, ["x.model.widht", "did you mean `width`?"]),
        ({"zzz": 1}, ["x.zzz is not a known setting; known: betas, kind, model, rate"]),
        ({"model": {"depth": 0}}, ["x.model.depth is 0", "greater than or equal to 1"]),
        ({"rate": -1.5}, ["x.rate is -1.5", "greater than 0"]),
        ({"rate": "fast"}, ["x.rate is 'fast'", "number"]),
        ({"kind": "round"}, ["x.kind is 'round'", "'linear' or 'cosine'"]),
        ({"model": {"depth": True}}, ["x.model.depth is True", "integer"]),
        ({"betas": [0.9]}, ["x.betas"]),
    ],
)
def test_an_error_names_key_value_and_limit(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(BadSettings) as error:
        params.parse(GOOD | change, Outer, "x")
    for word in words:
        assert word in str(error.value)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(BadSettings, match=r"x\.rate is missing"):
        params.parse({key: value for key, value in GOOD.items() if key != "rate"}, Outer, "x")


@given(st.floats(min_value=1e-12, max_value=1e6, exclude_min=True))
def test_numbers_are_read_as_dvc_reads_them(rate: float) -> None:
    """YAML 1.1 takes `3e-4` for a string; DVC, and so this project, reads YAML 1.2."""
    assert params.parse(GOOD | {"rate": rate}, Outer, "x").rate == rate


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("stage: {rate: 3e-4, model: {depth: 1}, betas: [0, 1], kind: cosine}\n")
    assert params.read("stage", Outer, file).rate == 3e-4


@pytest.mark.parametrize(
    ("text", "words"), [("a: [", "is not YAML"), ("other: {}", "`stage` is missing"), ("- 1", "holds no sections")]
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(BadSettings, match=words) as error:
        params.read("stage", Outer, file)
    assert "\n" not in str(error.value)
