"""Small models of `transformers` with random weights, of families that our own layers do not represent."""

import functools
from typing import Any

import torch

VOCAB_SIZE = 97
WINDOW = 48  # tokens

BERT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": WINDOW,
}  # fmt: skip
BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": WINDOW,
    "decoder_start_token_id": 2, "forced_eos_token_id": None,
}  # fmt: skip
T5 = {
    "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "n_positions": WINDOW,
    "decoder_start_token_id": 0,
}  # fmt: skip
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": WINDOW}

ENCODERS: dict[str, dict[str, Any]] = {
    "bert": BERT,
    "roberta": BERT | {"max_position_embeddings": WINDOW + 2, "pad_token_id": 1},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": WINDOW},
    "modernbert": BERT | {"local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0},
    "electra": BERT | {"embedding_size": 32},
    "albert": BERT | {"embedding_size": 16},
}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt2": GPT2,
    "gpt_neox": BERT,
    "gpt_neo": {
        "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 8, "max_position_embeddings": WINDOW,
        "attention_types": [[["global", "local"], 1]],
    },
    "opt": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64, "word_embed_proj_dim": 32,
        "max_position_embeddings": WINDOW, "pad_token_id": 1,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "seq_length": WINDOW},
}  # fmt: skip
SEQUENCE_TO_SEQUENCE: dict[str, dict[str, Any]] = {
    "t5": T5,
    "bart": BART | {"decoder_start_token_id": 2, "forced_eos_token_id": None},
}
ALL = ENCODERS | DECODERS | SEQUENCE_TO_SEQUENCE


@functools.cache
def made(kind: str) -> Any:
    """A model of a family as `transformers` makes it, with weights that are large enough to tell tokens apart."""
    import transformers

    tokens = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "cls_token_id": 2, "pad_token_id": 0}
    config = transformers.AutoConfig.for_model(kind, **(tokens | ALL[kind]), vocab_size=VOCAB_SIZE)
    classes = {
        **dict.fromkeys(ENCODERS, transformers.AutoModelForMaskedLM),
        **dict.fromkeys(DECODERS, transformers.AutoModelForCausalLM),
        **dict.fromkeys(SEQUENCE_TO_SEQUENCE, transformers.AutoModelForSeq2SeqLM),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = classes[kind].from_config(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.mul_(4)
                else:
                    weight.add_(torch.randn_like(weight), alpha=0.1)
    return model
