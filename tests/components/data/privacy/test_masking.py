"""Personal data and secrets give way to placeholders, other numbers stay, and no text takes long."""

import string
import time
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.data.cleaning.normalise import normalise
from components.data.privacy import masking
from components.data.privacy.finder import PLACEHOLDERS
from components.data.privacy.masking import mask

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1c7p9z5Pad7Oe\njecsQ0b=\n-----END RSA PRIVATE KEY-----"
RANDOM = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4hJ6"  # 36 characters

FOUND = [
    ("Write to jane.doe+x@mail.example.co.uk, soon", "Write to <email>, soon"),
    ("联系方式：tony@163.com可以", "联系方式：<email>可以"),
    ("jürgen@bücher.de, 用户@例子.公司, a＠b.com", "<email>, <email>, <email>"),
    ("name(at)example.org or name [at] example [dot] org", "<email> or <email>"),
    ("host 192.168.1.77 and 10.0.0.0/16", "host <ip> and <ip>/16"),
    ("over 2001:db8::8a2e:370:7334, too", "over <ip>, too"),
    ("at 10.1.2.3:8080 or [2001:db8::1]:443", "at <ip> or <ip>"),
    ("00:1B:44:11:3A:B7, 00-1b-44-11-3a-b7, 001b.4411.3ab7", "<mac>, <mac>, <mac>"),
    ("call +44 20 7946 0958 now", "call <phone> now"),
    ("call (202) 265-2800 or 202-265-2800.", "call <phone> or <phone>."),
    ("telephone: [1] (202) 265-2800", "telephone: <phone>"),
    ("FAX: [246] 431-0179", "FAX: <phone>"),
    ("手机：13341772746。", "手机：<phone>。"),
    ("电话0311-86911999，（０１０）６５０９２８２４", "电话<phone>，<phone>"),
    ("Tel. 030/1234567, mobil 0171 1234567", "Tel. <phone>, mobil <phone>"),
    ("reach me at 5551234567", "reach me at <phone>"),
    ("jane@example.org,202-265-2800,2024", "<email>,<phone>,2024"),
    ("4532 0151 1283 0366 and 371449635398431", "<credit_card> and <credit_card>"),
    ("DE89 3704 0044 0532 0130 00 BIC COBADE", "<iban> BIC COBADE"),
    ("SSN 536-90-4399; 身份证11010519491231002X。", "SSN <us_ssn>; 身份证<cn_id>。"),
    ("2 95 10 99 126 111 93, CPF 390.533.447-05", "<fr_id>, CPF <br_id>"),
    ("RCCMNL83S18D969H, 54362315K, QQ 12 34 56 A, AB 12 34 56 C", "<it_id>, <es_id>, QQ 12 34 56 A, <gb_id>"),
    ("AKIAIOSFODNN7EXAMPLE", "<aws_key>"),
    (f"aws_secret_access_key = {RANDOM}Ab1/", "aws_secret_access_key = <aws_key>"),
    (f"ghp_{RANDOM}, sk-proj-{RANDOM}, hf_{'aB' * 17}", "<github_key>, <openai_key>, <api_key>"),
    (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{RANDOM}", "<jwt>"),
    ("postgres://app:s3cret@db.example.org/x", "postgres://app:<password>@db.example.org/x"),
    (f"my key:\n{KEY}\nis secret", "my key:\n<private_key>\nis secret"),
    (repr(KEY)[1:-1], "<private_key>"),
    (KEY[:60], "<private_key>"),
]

KEPT = [
    "GDP $1,234,567,890 (2024 est.), 2,381,740 sq km, 28 00 N, 3 00 E",
    "from 1939-1945, on 2009-06-13 15:05:04 and 11/27/2024, a 1:2:4 ratio",
    "version 1.2.3 of v10.0.1.2, version 4.0.3.1, Chrome/118.0.0.0, sprites@2x.png, pi is 3.14159265358979",
    "arn:aws:iam::123456789012:role/x, 01234567-89ab-cdef-0123-0123456789ab",
    "std::vector, Class::method, ab::cd, at 03:42:55, 256.1.1.1, 1.2.3.4.5",
    "ISBN 978-3-16-148410-0, ISBN 0306406152, 邮政编码：１００７３３, １９９８年１２月３１日, order 20090613150504",
    "[12] 1990-1995 and [3] 42, +10 000 men, 100-200-300, 2147483647, 1700000000",
    "Am 01.02.2003 um 12.30 Uhr kosteten 1.234.567 Stück 12.345,67 Euro; 2019/2020 waren es 8,5 % von 83.190.556.",
    "react@18.2.0, git@github.com:org/repo.git, @media, task-force-one-two-three-four, sk-learn",
    "4532 0151 1283 0367, DE88 3704 0044 0532 0130 00, 110105194912310021",
    "called on 2009-06-13, Tel. 1998-2004, order number 4532015112830366, 40.7128, -74.0060",
    "d41d8cd98f00b204e9800998ecf8427e, 0x00007fff5fbff8c8, -----BEGIN CERTIFICATE-----",
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_personal_data_gives_way_to_placeholders(text: str, expected: str) -> None:
    masked = mask(text)
    assert masked.text == expected
    assert masked.counts == Counter(
        {kind: count for kind, placeholder in PLACEHOLDERS.items() if (count := expected.count(placeholder))}
    )


@pytest.mark.parametrize("text", KEPT)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == (text, Counter())


PIECES = [
    *(piece for text, _ in FOUND for piece in text.split(", ")),
    *PLACEHOLDERS.values(),
    *(
        "::1",
        "1.2.3.4",
        "2025550100",
        "Tel.",
        "order",
        "id",
        "version ",
        "0",
        "7",
        "x12",
        "+",
        "(",
        ")",
        "[",
        "]",
        "@",
        "://",
        ":a@",
    ),
    *("\n", " ", ".", ",", "-", "/", ":", "<", ">", "，", "中", "é", "０", "20", "1998"),
]
TRICKY = st.one_of(
    st.text(),
    st.text(string.digits + " .-+()/:x@", max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
)


@given(TRICKY)
@example("+10000000 001000000)0")  # the first number stands alone once the second one is masked
def test_masking_twice_changes_nothing(text: str) -> None:
    once = mask(text)
    assert mask(once.text) == (once.text, Counter())


@given(st.lists(st.sampled_from([text for text, _ in FOUND if "\n" not in text] + KEPT), max_size=4))
def test_lines_are_masked_each_by_itself(lines: list[str]) -> None:
    assert mask("\n".join(lines)).text == "\n".join(mask(line).text for line in lines)


@given(TRICKY)
@example("x")
def test_a_line_without_a_candidate_has_nothing(text: str) -> None:
    """The scan that picks lines leaves out none in which the finders find something, but for odd use of brackets."""
    line = text.partition("\n")[0].replace("(", " ").replace(")", " ")
    found = masking.masked_line(line, Counter())
    if mask(line).text == line:
        assert found == line


GROWING = {
    "blanks": " ",
    "blanks in a line": "a \t",
    "digits": "7",
    "at": "@",
    "colons": ":",
    "opening brackets": "(",
    "brackets": "[1](",
    "points": "1.",
    "hyphens": "1-",
    "letters": "a",
    "letters and at": "a@",
    "groups": "12 ",
    "colons and digits": "a0:",
    "phone numbers": "202-265-2800",
    "phone numbers with spaces": "(202) 265-2800 ",
    "cards that are none": "4532015112830367 ",
    "capitals": "AB12",
    "words of secrets": "secret_key=",
    "begins of keys": "-----BEGIN PRIVATE KEY-----\n",
    "tokens": "eyJ.",
    "passwords": "://a:b",
    "lines": "\n",
    "placeholders": "<phone>1",
    "words for phones": "tel ",
    "combining marks": "\u0301\u0316",
}


@pytest.mark.parametrize("piece", GROWING.values(), ids=GROWING.keys())
def test_time_is_linear(piece: str) -> None:
    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        began = time.process_time()
        mask(normalise(text))
        return time.process_time() - began

    small = min(seconds(4_000) for _ in range(3))
    large = min(seconds(32_000) for _ in range(2))
    assert large < 8 * 3 * small + 0.01  # quadratic would be 64 times
