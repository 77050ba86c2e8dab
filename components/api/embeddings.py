"""POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings"""

import base64
from collections.abc import Sequence

import torch
from starlette.responses import JSONResponse, Response
from torch import Tensor

from components.api import asking, shown
from components.api.errors import ApiError
from components.api.exchange import House
from components.api.loaded import Loaded
from components.api.requests import EmbeddingRequest


async def answer(asked: EmbeddingRequest, house: House, version: Loaded) -> Response:
    """The vectors of the inputs. Raises `ApiError`."""
    asking.check_answers(len(asked.inputs), house.settings)
    with asking.as_api_error("input"):
        ids = [_read(version, one) for one in asked.inputs]
    vectors = await version.compute(lambda: [_embed(version, one) for one in ids])
    data = [
        {"object": "embedding", "index": place, "embedding": _encoded(vector, asked.encoding_format)}
        for place, vector in enumerate(vectors)
    ]
    used = shown.usage(ids, 0)
    del used["completion_tokens"]
    return JSONResponse({"object": "list", "data": data, "model": asked.model, "usage": used})


def _read(version: Loaded, asked: str | list[int]) -> list[int]:
    """The ids that the model reads of an input: a text as it stands in the documents that the model has read."""
    tokenizer, config = version.model.tokenizer, version.model.model.config
    if isinstance(asked, str):
        ids = tokenizer.frame(tokenizer.encode(asked))
        if config.architecture == "decoder":
            ids = [tokenizer.start_of_text, *tokenizer.encode(asked)]
    else:
        ids = asked
    if unknown := next((token for token in ids if token >= config.vocab_size), None):
        raise ApiError(400, f"the input has the token {unknown}, and there are {config.vocab_size}", param="input")
    if not ids:
        raise ApiError(400, "an input is empty", param="input")
    if len(ids) > config.max_sequence_length:
        raise asking.too_long(f"an input has {len(ids)} tokens, and at most {config.max_sequence_length} fit", "input")
    return ids


@torch.inference_mode()
def _embed(version: Loaded, ids: Sequence[int]) -> Tensor:
    """The mean of the hidden states of an input, at unit length, [C]."""
    model = version.model.model
    hidden_TC = model.hidden(torch.tensor([ids], device=model.device))[0].float()
    return torch.nn.functional.normalize(hidden_TC.mean(0), dim=0).cpu()


def _encoded(vector: Tensor, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector.numpy().astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
