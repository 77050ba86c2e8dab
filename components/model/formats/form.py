"""What a format of `transformers` is, and how its `config.json` is read: each key is known, or the model is refused."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from components.model.config import ModelConfig

Names = dict[str, tuple[str, ...]]
"""Maps our name of a weight to theirs; a fused matrix of ours contains the rows of several of theirs."""

Change = Callable[[ModelConfig, str, Tensor], Tensor]
"""A weight under our name, changed from their form into ours or back."""


class Unknown(Exception):
    """A setting of a configuration that our layers do not support."""


class Unread(Exception):
    """A setting that `transformers` does not read in this family either, so that nobody would know what it meant."""


def unchanged(config: ModelConfig, name: str, weight: Tensor) -> Tensor:  # noqa: ARG001
    """The weight as it is."""
    return weight


@dataclass(frozen=True)
class Form:
    """One model format of `transformers`."""

    fits: Callable[[ModelConfig], bool]  # whether a model of ours is written in it
    write: Callable[[ModelConfig], dict[str, object]]
    read: Callable[[Mapping[str, Any]], ModelConfig]
    names: Callable[[ModelConfig], Names]
    constants: Callable[[ModelConfig], dict[str, Tensor]] = lambda _: {}  # weights that theirs has and ours does not
    copies: Callable[[ModelConfig], dict[str, str]] = lambda _: {}  # weights that equal another, and may be left out
    ours: Change = unchanged
    theirs: Change = unchanged
    computed: Collection[str] = ("rotary_emb.inv_freq",)  # ends of names of weights that follow from the configuration


# Keys that change no logits: names, versions, tokens, initialization, dropout, what `generate` does.
NO_EFFECT = frozenset(
    (
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_name_or_path",
        "_sliding_window_pattern",
        "architectures",
        "attention_dropout",
        "auto_map",
        "bos_token_id",
        "cache_implementation",
        "chunk_size_feed_forward",
        "classifier_pooling",
        "decoder_start_token_id",
        "do_sample",
        "dtype",
        "early_stopping",
        "embd_pdrop",
        "eos_token_id",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "id2label",
        "initializer_range",
        "is_llama_config",
        "keys_to_ignore_at_inference",
        "label2id",
        "length_penalty",
        "mask_token_id",
        "max_length",
        "max_new_tokens",
        "model_type",
        "no_repeat_ngram_size",
        "num_beams",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "pretraining_tp",
        "problem_type",
        "repetition_penalty",
        "resid_pdrop",
        "return_dict",
        "sep_token_id",
        "temperature",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torch_dtype",
        "transformers.js_config",
        "transformers_version",
        "unk_token_id",
        "unsloth_fixed",
        "unsloth_version",
        "use_cache",
    )
)
NEUTRAL: Mapping[str, Any] = {"is_encoder_decoder": False, "rope_interleaved": False, "partial_rotary_factor": 1.0}


def settings(content: Mapping[str, Any], defaults: Mapping[str, Any], neutral: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these defaults, which those of the family have.

    neutral: keys that are not of the family, but come with this value. Raises `Unread` for another value, and for any
    other key that is not known to change no logits.
    """
    neutral = {**NEUTRAL, **neutral}
    for key, value in content.items():
        if key in defaults or key in NO_EFFECT or value is None:
            continue
        if key not in neutral or value != neutral[key]:
            raise Unread(f"{key} = {value!r}")
    return {key: content.get(key, default) for key, default in defaults.items()}


def whole(raw: Mapping[str, Any], *keys: str) -> None:
    """Raise `Unknown` unless these settings are whole numbers above zero."""
    for key in keys:
        if type(raw[key]) is not int or raw[key] < 1:
            raise Unknown(f"{key} = {raw[key]!r}")


def one_of(raw: Mapping[str, Any], key: str, choices: Mapping[Any, Any]) -> Any:
    """The choice that a setting names. Raises `Unknown` when it names none."""
    if raw[key] not in choices:
        raise Unknown(f"{key} = {raw[key]!r}")
    return choices[raw[key]]
