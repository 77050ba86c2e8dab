"""A decoder as an ONNX graph: the ids of rows [B, T] to the logits after each token, [B, T, V]."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from components.model.transformer import Transformer

ONE_FILE = 1_500_000_000  # bytes of weights; protobuf ends at 2 GB, and more go to a file of their own


class _Logits(nn.Module):
    """The model as a function of ids alone."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        # The mask of a decoder, written out: whether there is one may not depend on the number of tokens.
        places = torch.arange(input_ids.shape[1])
        logits: Tensor = self.model(input_ids, mask=(places[None] <= places[:, None])[None, None])
        return logits


@torch.no_grad()
def write(model: Transformer, file: Path) -> None:
    """Write a decoder to `file`, with weights in fp32."""
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
