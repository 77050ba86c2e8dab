"""Stage `tokenizer`: a byte-level BPE trained on the training documents, or the pinned one of an imported model."""

import json
from pathlib import Path

from components.core import params, stage
from components.tokenizer import training
from components.tokenizer.settings import TrainTokenizer
from components.tokenizer.tokenizer import SENTINEL, SPECIAL_TOKENS

DOCUMENTS = Path("data/prepared/documents/train")
FOLDER = Path("models/tokenizer")


def main() -> None:
    settings = params.read("tokenizer", TrainTokenizer)
    special = [*SPECIAL_TOKENS, *(SENTINEL.format(number) for number in range(settings.sentinels))]
    shards = training.sample(sorted(DOCUMENTS.glob("*.parquet")), settings.max_megabytes * 1_000_000)
    if settings.start:
        tokenizer = training.adopt(settings.start, special)
    else:
        tokenizer = training.train(shards, settings.vocab_size, special)
    FOLDER.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(FOLDER / "tokenizer.json"))
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(training.config(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    stage.run("tokenizer", main)
