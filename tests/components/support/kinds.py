"""Small tokenizers of each kind, in the layout of well-known checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from components.tokenizer.fast import PATTERNS
from components.tokenizer.tokenizer import SPECIAL_TOKENS
from components.tokenizer_training import training
from tests.components.support.chat_templates import TEMPLATES

TEXTS = [
    "The river bends to the north; the old mill stands 3.5 km away.",
    "def f(x):\n    return x ** 2  # squares\n\n\n",
    "Prices rose by 12 % — it's more than they'd said. Hello, how are you? I am fine.",
    "system user assistant tool model Question answer positive negative Arts\n",
    "天气很好，我们去公园散步。",
] * 20
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(
    pattern: str | None, special: list[str], *, normalizer: Any = None, ignore_merges: bool = False
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, level]) if split else level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=level.alphabet(), show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in special])
    return tokenizer


def _pieces(special: list[AddedToken], normalizer: Any, decoder: Any) -> Tokenizer:
    """A BPE of SentencePiece that writes what its vocabulary lacks as bytes."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer, trained.pre_tokenizer = normalizer, pre_tokenizers.Split("▁", "merged_with_next")
    names = [token.content for token in special]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*names, *BYTES], show_progress=False)
    trained.train_from_iterator([text for text in TEXTS if text.isascii()], trainer)
    content = json.loads(trained.to_str())
    content["model"] |= {"byte_fallback": True, "fuse_unk": True}
    content["pre_tokenizer"] = None
    content["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens(special)
    return tokenizer


def _added(*names: str, **properties: bool) -> list[AddedToken]:
    return [AddedToken(name, normalized=False, special=True, **properties) for name in names]


def _framed(tokenizer: Tokenizer, single: str) -> Tokenizer:
    names = [part for part in single.split() if part != "$A"]
    ids = [(name, tokenizer.token_to_id(name)) for name in names]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    return tokenizer


def ours() -> tuple[Tokenizer, dict[str, Any]]:
    tokenizer = byte_level(None, [*SPECIAL_TOKENS])
    return tokenizer, training.FILES.config(TEMPLATES["ours"])


def qwen() -> tuple[Tokenizer, dict[str, Any]]:
    tokenizer = byte_level(PATTERNS[0], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFC())
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in ("<think>", "</think>", "<tool_call>")])
    return tokenizer, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": TEMPLATES["qwen3"]}


def llama3() -> tuple[Tokenizer, dict[str, Any]]:
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = _framed(byte_level(PATTERNS[1], special, ignore_merges=True), "<|begin_of_text|> $A")
    names = {"bos_token": "<|begin_of_text|>", "eos_token": {"__type": "AddedToken", "content": "<|eot_id|>"}}
    return tokenizer, {**names, "chat_template": TEMPLATES["llama3"]}


def mistral() -> tuple[Tokenizer, dict[str, Any]]:
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = _framed(_pieces(_added("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), normalizer, decoder), "<s> $A")
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATES["mistral"]}


def mistral_first() -> tuple[Tokenizer, dict[str, Any]]:
    tokenizer, config = mistral()
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer, config


def phi3() -> tuple[Tokenizer, dict[str, Any]]:
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    turns = _added("<|user|>", "<|assistant|>", "<|system|>", "<|end|>", rstrip=True)
    tokenizer = _pieces([*_added("<unk>", "<s>", "</s>", "<|endoftext|>"), *turns], normalizer, decoder)
    names = {"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    return tokenizer, {**names, "chat_template": TEMPLATES["phi3"]}


def gemma() -> tuple[Tokenizer, dict[str, Any]]:
    decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = _added("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
    tokenizer = _pieces(special, normalizers.Replace(" ", "▁"), decoder)
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<table>", normalized=False)])
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return _framed(tokenizer, "<bos> $A"), {**names, "chat_template": TEMPLATES["gemma"]}


def t5() -> tuple[Tokenizer, dict[str, Any]]:
    special = ["<pad>", "</s>", "<unk>"]
    sentinels = [f"<extra_id_{number}>" for number in range(4)]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    tokenizer.add_special_tokens(_added(*sentinels))
    return _framed(tokenizer, "$A </s>"), {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def bert() -> tuple[Tokenizer, dict[str, Any]]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in special}
    return _framed(tokenizer, "[CLS] $A [SEP]"), names


KINDS: dict[str, Callable[[], tuple[Tokenizer, dict[str, Any]]]] = {
    kind.__name__: kind for kind in (ours, qwen, llama3, mistral, mistral_first, phi3, gemma, t5, bert)
}
LOSSLESS = ("ours", "llama3", "mistral", "mistral_first", "phi3", "gemma")  # Qwen's composes characters (NFC)


def write(kind: str, folder: Path, **config: object) -> Path:
    """The files of a kind, with changes in its `tokenizer_config.json`."""
    tokenizer, names = KINDS[kind]()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **names, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return folder
