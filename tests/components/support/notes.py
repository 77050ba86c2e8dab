"""An entry of the catalogue: a source of JSON Lines whose rows are documents and examples."""

ENTRY = {
    "name": "notes",
    "kind": "files",
    "license": "MIT",
    "languages": ["en"],
    "yields": ["documents", "topic"],
    "files": [{"path": "corpus/*.jsonl"}],
    "documents": {"text": "text"},
    "examples": {"task": "topic", "inputs": {"text": "text"}, "target": "label"},
}
