"""Stage `tokenizer`: a byte-level BPE trained on the training documents, or the pinned one of an imported model.

With a pinned start it is that version's: always where training goes on from its weights, or else as long as it fits.
docs/decisions.md, "New text keeps the tokenizer"
"""

import shutil
from pathlib import Path

from components.core import params, stage, start
from components.core.errors import BadSettings
from components.tokenizer.tokenizer import SENTINEL, SPECIAL_TOKENS, Tokenizer
from components.tokenizer_training import training
from components.tokenizer_training.settings import TrainTokenizer

DOCUMENTS = Path("data/prepared/documents/train")
FOLDER = Path("models/tokenizer")


def is_kept(settings: TrainTokenizer, shards: list[Path]) -> bool:
    """Whether the tokenizer of the pinned version is used. Raises `BadSettings` when a setting forbids what has to be.

    Without its weights it has to have the sizes of the settings, and to fit the text.
    """
    pinned = start.in_place()
    if pinned is None:
        return False
    found = Tokenizer.load(start.TOKENIZER)
    sizes = {"vocab_size": found.vocab_size, "sentinels": len(found.sentinels)}
    other = [f"tokenizer.{name} has to be {size}" for name, size in sizes.items() if size != getattr(settings, name)]
    if pinned.has_weights:
        if settings.start or other:
            other = other or ["take tokenizer.start out"]
            raise BadSettings(f"params.yaml: {other[0]}: training goes on from {pinned}, with its tokenizer")
        return True
    if other:
        print(f"a new tokenizer is trained: to keep that of {pinned}, {' and '.join(other)}", flush=True)
    if settings.start or other or settings.retrain_below is None:
        return False
    now, before = training.bytes_per_token(found, shards), training.bytes_per_token_of(start.READ / "manifest.json")
    fits = now >= settings.retrain_below * before
    print(f"a token holds {now:.2f} bytes with the tokenizer of {pinned}, {before:.2f} of its own text", flush=True)
    return fits


def main() -> None:
    settings = params.read("tokenizer", TrainTokenizer)
    special = [*SPECIAL_TOKENS, *(SENTINEL.format(number) for number in range(settings.sentinels))]
    shards = training.sample(sorted(DOCUMENTS.glob("*.parquet")), settings.max_megabytes * 1_000_000)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if is_kept(settings, shards):
        for file in sorted(start.TOKENIZER.iterdir()):
            shutil.copyfile(file, FOLDER / file.name)
        return
    if settings.start:
        tokenizer = training.adopt(settings.start, special)
    else:
        tokenizer = training.train(shards, settings.vocab_size, special, settings.pieces)
    tokenizer.save(FOLDER)


if __name__ == "__main__":
    stage.run("tokenizer", main)
