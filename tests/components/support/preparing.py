"""Settings of the stage `prepare` for small rows."""

from components.data.settings import DocumentLimits, Duplicates, ExampleLimits, Prepare, Shares

SETTINGS = Prepare(
    repair_encoding=True,
    documents=DocumentLimits(
        min_characters=10, max_characters=2000, max_symbols=0.5, max_unreadable=0.01, max_repeated_lines=0.3
    ),
    examples=ExampleLimits(max_characters=1000),
    splits=Shares(unit="document", validation=0.2, test=0.3),
    duplicates=Duplicates(threshold=0.8, shingle_words=2, min_words=20),
    benchmarks=(),
    max_overlap=0.8,
)
