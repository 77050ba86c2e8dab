"""Whether two tokenizers have the same vocabulary, so that a model knows the tokens of both."""

import hashlib
import json
from pathlib import Path


def digest(folder: Path) -> str:
    """The sha256 of the vocabulary in the `tokenizer.json` of a folder, whatever else is in that file."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return hashlib.sha256(json.dumps(vocabulary, sort_keys=True).encode()).hexdigest()
