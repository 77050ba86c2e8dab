"""Rounds the weights of a GGUF file, by llama.cpp."""

import ctypes
import logging
from pathlib import Path
from typing import Literal

from components.core.errors import BadData

Type = Literal["q8_0", "q4_k_m"]


def quantize(source: Path, target: Path, kind: Type) -> None:
    """Write the GGUF file `source` with other types of weights; matrices that do not fit one get the next larger."""
    import llama_cpp

    logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)  # or it prints a line for each matrix
    types = {"q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M}
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = types[kind]
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
    if status != 0:
        raise BadData(f"llama.cpp does not quantize {source} to {kind}: it returned {status}")
