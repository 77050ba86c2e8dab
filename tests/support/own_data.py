"""Files as people have them: a book, and rows in each form that `lmforge data add` recognises. The same every time."""

import json
import random
from collections.abc import Iterable
from pathlib import Path

ROWS = 80  # of each form
DESKS = {"1": "river", "2": "match", "3": "market", "4": "engine"}
RESSORTS = {"Politik": "Der Landtag", "Sport": "Die Mannschaft", "Kultur": "Das Theater"}
PEOPLE = ["Ada Lovelace", "Carl Gauss", "Emmy Noether", "Alan Turing"]
PLACES = ["Rome", "Oslo", "Lima", "Cairo"]
WORDS_DE = ["der Graf", "die alte Frau", "das Haus am Fluss", "ein kalter Wind", "die Stadt", "der Brief", "ein Kind"]
VERBS_DE = ["wartete auf", "verließ", "erinnerte an", "kam nicht mehr in", "sah", "vergaß", "fand"]


def book(path: Path, characters: int = 120_000) -> None:
    """A German chronicle in paragraphs, with dates and numbers."""
    chance, paragraphs, size = random.Random("book"), list[str](), 0
    while size < characters:
        paragraphs.append(_paragraph(chance))
        size += len(paragraphs[-1]) + 2
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")


def articles(path: Path) -> None:
    """German articles with a title, as JSON lines."""
    chance = random.Random("articles")
    rows = [{"title": f"Nr. {n}", "text": f"{_paragraph(chance)}\n\n{_paragraph(chance)}"} for n in range(ROWS)]
    _lines(path, map(json.dumps, rows))


def _paragraph(chance: random.Random) -> str:
    return " ".join(
        f"Am {chance.randint(1, 28)}.{chance.randint(1, 12):02}.{chance.randint(1800, 1899)} "
        f"{chance.choice(VERBS_DE)} {chance.choice(WORDS_DE)} {chance.choice(WORDS_DE)}, "
        f"und es kostete {chance.randint(2, 90)} Taler."
        for _ in range(chance.randint(2, 5))
    )


def write(folder: Path) -> None:
    """Write a file of each form into a folder."""
    chance = random.Random("own")
    pick = chance.choice
    numbers = [str(n % 4 + 1) for n in range(ROWS)]
    news = [f'"{n}","{pick(PLACES)} {k}","About the {DESKS[n]} number {k}."' for k, n in enumerate(numbers)]
    _lines(folder / "news.csv", ['"Class Index","Title","Description"', *news])
    sms = ["spam\tWIN prize {} now, call!" if n % 4 == 0 else "ham\tSee you at {}, {}" for n in range(ROWS)]
    _lines(folder / "sms.tsv", [line.format(n, pick(PLACES)) for n, line in enumerate(sms)])
    desks = [sorted(RESSORTS)[n % 3] for n in range(ROWS)]
    german = [
        f"{RESSORTS[desk]} tagte gestern zum {n}. Mal; {pick(WORDS_DE)} blieb.,{desk}" for n, desk in enumerate(desks)
    ]
    _lines(folder / "ressorts.csv", ["text,label", *german])
    instructions = [
        {"instruction": f"Name city {n}.", "input": "" if n % 5 else "In Europe.", "output": pick(PLACES)}
        for n in range(ROWS)
    ]
    (folder / "instructions.json").write_text(json.dumps(instructions), encoding="utf-8")
    _lines(folder / "talks.jsonl", [json.dumps({"messages": _talk(n, pick(PLACES))}) for n in range(ROWS)])
    pairs = [{"prompt": f"City {n}?", "chosen": pick(PLACES), "rejected": "I know none."} for n in range(ROWS)]
    _lines(folder / "pairs.jsonl", map(json.dumps, pairs))
    _lines(
        folder / "names.conll", ["-DOCSTART- -X- O\n", *(_sentence(n, pick(PEOPLE), pick(PLACES)) for n in range(ROWS))]
    )


def _talk(number: int, city: str) -> list[dict[str, str]]:
    first = [{"role": "user", "content": f"Trip {number}?"}, {"role": "assistant", "content": "Where from?"}]
    last = [{"role": "user", "content": f"From {city}."}, {"role": "assistant", "content": f"{city} it is."}]
    return [*([{"role": "system", "content": "Be brief."}] if number % 3 == 0 else []), *first, *last]


def _sentence(number: int, person: str, city: str) -> str:
    """A sentence in columns: token, part of speech, tag; an empty line follows."""
    first, last = person.split()
    tokens = [(first, "B-PER"), (last, "I-PER"), ("saw", "O"), (city, "B-LOC"), ("in", "O"), (str(1800 + number), "O")]
    return "".join(f"{token} X {tag}\n" for token, tag in tokens)


def _lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
