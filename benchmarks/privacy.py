"""How much personal data is found, how much else is taken for some, and how fast.

    python -m benchmarks.privacy [--samples 400] [--texts data/raw/documents]

The samples are made: numbers and addresses of each kind and country by Faker and by the issuers' forms, in sentences as
people write them, and as many look-alikes: dates, years, prices, versions, statistics, ISBN, numbers of orders,
coordinates, hashes, UUIDs, and numbers with a wrong check digit. A sample counts as found when all of it gave way to
the placeholder of its kind, a look-alike as taken for some when any placeholder of the kind stands in it.
"""

import argparse
import random
import string
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from faker import Faker

from components.data.cleaning.normalise import normalise
from components.data.privacy.finder import PLACEHOLDERS
from components.data.privacy.masking import mask
from components.data.tables.shards import batches

SENTENCES = ("It is {}, she wrote.", "Use {} for now.", "{}", "The first is {} and the second is not known.")
CALLS = {
    "en_US": ("Call {} for details.", "Phone: {}", "You can reach me at {}.", "{} is her phone, tel. {}"),
    "en_GB": ("Ring {} after six.", "Tel: {}", "Contact us on {}.", "Mobile {}, evenings only."),
    "de_DE": ("Tel.: {}", "Rufen Sie uns unter {} an.", "Telefon {} (werktags)", "Handy: {}"),
    "fr_FR": ("Tél. : {}", "Appelez le {} avant midi.", "Téléphone {}", "Mobile : {}."),
    "pt_BR": ("Telefone: {}", "Ligue para {} hoje.", "Celular {}", "Contato: {}."),
    "it_IT": ("Tel. {}", "Chiamate il {} dopo le sei.", "Telefono: {}", "Cellulare {}."),
    "en_IN": ("Call {} today.", "Mobile: {}", "WhatsApp {} for orders.", "Contact {} (Mr. Rao)."),
    "ru_RU": ("Тел.: {}", "Звоните {} с девяти.", "Телефон {}", "Моб. {}."),
    "ja_JP": ("電話：{}", "電話番号は{}です。", "TEL {}", "携帯 {}まで"),
    "zh_CN": ("电话：{}", "请拨打{}联系我们。", "手机 {}", "联系人王先生，{}。"),
    "es_ES": ("Teléfono: {}", "Llame al {} por la tarde.", "Tel. {}", "Móvil {}."),
}
BARE = ("She wrote {} on the paper.", "{}", "Frau Weber, {}, Berlin", "Office — {} — open daily")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--texts", type=Path)
    arguments = parser.parse_args()
    Faker.seed(1)
    random.seed(1)
    print("| kind | found | of what was found, right |\n| --- | --- | --- |")
    for kind, make in kinds().items():
        print(row(kind, kind, make, SENTENCES, arguments.samples))
    for locale, sentences in CALLS.items():
        make = Faker(locale).phone_number
        print(row(f"phone {locale}", "phone", make, sentences, arguments.samples))
        print(row(f"phone {locale}, no word before it", "phone", make, BARE, arguments.samples))
    if arguments.texts:
        speed([text for batch in batches(arguments.texts) for text in batch["text"].to_pylist()])


def row(name: str, kind: str, make: Callable[[], str], sentences: tuple[str, ...], samples: int) -> str:
    """A row of the table: the shares of samples that were found, and of findings that were samples."""
    placeholder = PLACEHOLDERS[kind]
    found = wrong = 0
    for number in range(samples):
        sentence, sample = sentences[number % len(sentences)], make()
        found += mask(sentence.format(sample, sample)).text == sentence.format(placeholder, placeholder)
        wrong += placeholder in mask(SENTENCES[number % len(SENTENCES)].format(look_alike(number, kind, make))).text
    right = found / (found + wrong) if found else 0.0
    return f"| {name.replace('_', ' ')} | {found / samples:.1%} | {right:.1%} |"


def digits(pattern: str) -> str:
    """A pattern with a random digit for each #, and a hexadecimal one for each ^."""
    return "".join(
        {"#": random.choice(string.digits), "^": random.choice("0123456789abcdef")}.get(c, c) for c in pattern
    )


def token(length: int, characters: str = string.ascii_letters + string.digits) -> str:
    return "".join(random.choices(characters, k=length))


def kinds() -> dict[str, Callable[[], str]]:
    """For each kind but phones a function that makes a new one."""
    fake = {locale: Faker(locale) for locale in CALLS}
    english = fake["en_US"]
    any_locale: Callable[[], Faker] = lambda: random.choice(list(fake.values()))  # noqa: E731
    return {
        "email": lambda: random.choice([english.email(), any_locale().email(), _unusual_email()]),
        "ip": lambda: random.choice([english.ipv4(), f"{english.ipv4()}:{english.port_number()}", english.ipv6()]),
        "mac": lambda: random.choice([english.mac_address(), english.mac_address().replace(":", "-").upper()]),
        "credit_card": lambda: _grouped(any_locale().credit_card_number()),
        "iban": lambda: _grouped(any_locale().iban()),
        "us_ssn": english.ssn,
        "cn_id": fake["zh_CN"].ssn,
        "fr_id": fake["fr_FR"].ssn,
        "it_id": fake["it_IT"].ssn,
        "es_id": lambda: random.choice([fake["es_ES"].nif(), fake["es_ES"].nie()]),
        "br_id": fake["pt_BR"].cpf,
        "gb_id": lambda: f"{random.choice(('AB', 'JK', 'PX', 'SE'))}{digits(' ## ## ## ')}{random.choice('ABCD')}",
        "aws_key": lambda: random.choice(("AKIA", "ASIA")) + token(16, string.ascii_uppercase + string.digits),
        "github_key": lambda: random.choice(("ghp_" + token(36), f"github_pat_{token(22)}_{token(59)}")),
        "openai_key": lambda: random.choice(("sk-" + token(48), "sk-proj-" + token(64))),
        "api_key": lambda: random.choice(
            ("AIza" + token(35), "hf_" + token(34), "glpat-" + token(20), "sk_live_" + token(24))
        ),
        "jwt": lambda: f"eyJ{token(33)}.eyJ{token(60)}.{token(43)}",
    }


def _unusual_email() -> str:
    name, host = (
        random.choice(("jürgen.groß", "анна", "rené", "用户", "jo.ann+x")),
        random.choice(("bücher.de", "例子.公司", "пример.рф", "post.fr")),
    )
    return random.choice((f"{name}@{host}", f"{name}＠{host}", "jo.smith(at)example.org", "jo [at] example [dot] com"))


def _grouped(number: str) -> str:
    """The number in groups of four, or as it is."""
    if random.random() < 0.5 or len(number) < 16:
        return number
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))


def look_alike(number: int, kind: str, make: Callable[[], str]) -> str:
    """Something that is none of the kind: of the numbers that texts have, or one with another last digit."""
    day, month, year = random.randint(1, 28), random.randint(1, 12), random.randint(1900, 2030)
    others = [
        f"{year}-{month:02}-{day:02} {digits('1#:2#:3#')}",
        f"{day:02}.{month:02}.{year}",
        f"{month}/{day}/{year}",
        f"{year}-{year + 9}",
        f"${digits('1,###,###.##')}",
        f"{digits('1.###.###,##')} €",
        f"version {digits('#.#.#')}",
        f"v{digits('1#.#.##.#')}",
        f"{digits('8#,###,###')} people, {digits('##.#')}%",
        f"{digits('4#.####')}, {digits('-7#.######')}",
        f"ISBN 978-3-16-{digits('######')}-{digits('#')}",
        f"ISBN {digits('0#########')}",
        f"order {digits('##########')}",
        f"invoice no. {digits('20##########')}",
        f"order number {digits('4###############')}",
        token(40, "0123456789abcdef"),
        token(64, "0123456789abcdef"),
        str(uuid.UUID(int=random.getrandbits(128), version=4)),
        digits("17########"),
        f"{digits('1## ### ###')} km²",
        f"pages {digits('1##')}–{digits('2##')}, {year}",
        f"react@{digits('18.#.#')}, icon@2x.png",
    ]
    if kind in ("credit_card", "iban", "cn_id", "fr_id", "it_id", "es_id", "br_id") and number % 4 == 0:
        right = make()
        last = max(place for place, character in enumerate(right) if character.isdigit())
        return f"{right[:last]}{(int(right[last]) + 1 + number % 8) % 10}{right[last + 1 :]}"
    return others[number % len(others)]


def speed(texts: list[str]) -> None:
    """Print the megabytes a second of each step, on one core, in processor time."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    for name, step in _steps().items():
        began = time.process_time()
        for text in texts:
            step(text)
        print(f"{name}: {size / (time.process_time() - began):.0f} MB/s over {size:.1f} MB")


def _steps() -> dict[str, Callable[[str], object]]:
    return {"normalise": normalise, "mask": mask, "both": lambda text: mask(normalise(text))}


if __name__ == "__main__":
    main()
