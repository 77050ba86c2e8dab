"""A decoder as an ONNX graph: the ids of rows [B, T] to the logits after each token, [B, T, V]."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from components.core.errors import BadSettings
from components.model.interface import LanguageModel
from components.model.transformer import Transformer

ONE_FILE = 1_500_000_000  # bytes of weights; protobuf ends at 2 GB, and more go to a file of their own


class _Logits(nn.Module):
    """The model as a function of ids alone."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.logits(input_ids)


def write(model: LanguageModel, file: Path) -> None:
    """Write `file`, with weights in fp32. Raises `BadSettings` for a model that is no decoder of our layers."""
    if not isinstance(model, Transformer):
        raise BadSettings("the model runs in transformers, not in our layers, so that onnx is not written: use optimum")
    if model.config.architecture != "decoder":
        raise BadSettings(f"onnx: the model is an {model.config.architecture}, and only a decoder is written")
    size = sum(weight.nbytes for weight in model.parameters())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model).eval(),
            (torch.zeros(2, min(8, model.config.max_sequence_length), dtype=torch.int64),),
            file,
            input_names=["input_ids"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}},
            external_data=size > ONE_FILE,
            verbose=False,
        )
