"""What has to fit into the window, refused before anything starts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.core import context_window, params
from components.core.errors import BadSettings
from components.stages import evaluate, finetune, package, pretrain

ROOT = Path(__file__).parents[3]
DECODER = {
    "pretrain": {"model": {"architecture": "decoder"}, "sequence_length": 128},
    "finetune": {"mine": {"base": "models/pretrained", "max_prompt_tokens": 80, "max_answer_tokens": 48}},
    "evaluate": {"max_new_tokens": 32, "verbatim_prompt": 32, "verbatim_tokens": 32},
    "package": {"max_new_tokens": 48},
}


def having(architecture: str, **changes: int) -> dict[str, Any]:
    """The settings above with another architecture, and some settings changed by their dotted names."""
    content = {name: dict(section) for name, section in DECODER.items()}
    content["finetune"]["mine"] = dict(DECODER["finetune"]["mine"])
    content["pretrain"]["model"] = {"architecture": architecture}
    for name, value in changes.items():
        *path, key = name.split(".")
        section: Any = content
        for part in path:
            section = section[part]
        section[key] = value
    return content


@pytest.mark.parametrize("architecture", ["decoder", "encoder", "encoder_decoder"])
def test_what_fits_is_let_pass(architecture: str) -> None:
    assert list(context_window.misfits(having(architecture))) == []


@pytest.mark.parametrize(
    ("architecture", "name", "fits", "line"),
    [
        (
            "decoder",
            "package.max_new_tokens",
            48,
            "finetune.mine.max_prompt_tokens (80) + package.max_new_tokens (49) needs 129 tokens, and 128 are free "
            "with pretrain.sequence_length (128): lower the first, or raise the last",
        ),
        ("decoder", "evaluate.max_new_tokens", 48, "max_prompt_tokens (80) + evaluate.max_new_tokens (49) needs 129"),
        ("decoder", "finetune.mine.max_answer_tokens", 48, "finetune.mine.max_answer_tokens (49) needs 129 tokens"),
        ("decoder", "evaluate.verbatim_tokens", 95, "verbatim_prompt (32) + evaluate.verbatim_tokens (96) needs 129"),
        ("encoder", "finetune.mine.max_prompt_tokens", 128, "finetune.mine.max_prompt_tokens (129) needs 129 tokens"),
        ("encoder_decoder", "finetune.mine.max_prompt_tokens", 128, "max_prompt_tokens (129) needs 129 tokens"),
        (
            "encoder_decoder",
            "finetune.mine.max_answer_tokens",
            64,
            "max_answer_tokens (65) needs 65 tokens, and 64 are",
        ),
        ("encoder_decoder", "package.max_new_tokens", 128, "package.max_new_tokens (129) needs 129 tokens"),
        ("encoder_decoder", "evaluate.max_new_tokens", 128, "evaluate.max_new_tokens (129) needs 129 tokens"),
        ("encoder_decoder", "evaluate.verbatim_prompt", 126, "evaluate.verbatim_prompt (127) needs 129 tokens"),
        ("encoder_decoder", "evaluate.verbatim_tokens", 127, "evaluate.verbatim_tokens (128) needs 129 tokens"),
    ],
)
def test_one_token_too_many_is_named_with_the_limit(architecture: str, name: str, fits: int, line: str) -> None:
    assert list(context_window.misfits(having(architecture, **{name: fits}))) == []
    [found] = context_window.misfits(having(architecture, **{name: fits + 1}))
    assert line in found


def test_what_an_encoder_does_not_do_takes_no_room() -> None:
    changes = {"package.max_new_tokens": 900, "evaluate.verbatim_tokens": 900, "finetune.mine.max_answer_tokens": 900}
    assert list(context_window.misfits(having("encoder", **changes))) == []


def test_other_faults_are_left_to_others() -> None:
    assert list(context_window.misfits({})) == []
    assert (
        list(context_window.misfits({"pretrain": None, "finetune": [], "evaluate": {"max_new_tokens": "many"}})) == []
    )


def test_the_rules_name_settings_that_are_there() -> None:
    content = params.load(ROOT / "params.yaml")
    for architecture in ("decoder", "encoder", "encoder_decoder"):
        content["pretrain"]["model"]["architecture"] = architecture
        for rule in (
            *context_window._of_recipe("assistant", architecture),
            *context_window._of_documents(architecture),
        ):
            assert all(isinstance(context_window._number(content, name), int) for name in rule.names)


@pytest.mark.parametrize(
    "main",
    [
        pretrain.main,
        lambda: finetune.main("assistant"),
        lambda: evaluate.main("base"),
        lambda: package.main("assistant"),
    ],
    ids=["pretrain", "finetune", "evaluate", "package"],
)
def test_a_stage_refuses_before_it_starts(
    main: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    content = params.load(tmp_path / "params.yaml")
    content["pretrain"]["sequence_length"] = 64
    YAML().dump(content, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSettings, match=r"verbatim_tokens \(\d+\) needs \d+ tokens, and 64 are free with pretrain"):
        main()
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
