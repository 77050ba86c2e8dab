"""gigatoken runs exactly those tokenizers that it is used for."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from components.tokenizer import fast
from tests.components.support import kinds

FORMS = {
    "gpt2": lambda: kinds.byte_level(None, []),
    "qwen": lambda: kinds.byte_level(fast.PATTERNS[0], [], normalizer=normalizers.NFC()),
    "llama3": lambda: kinds.byte_level(fast.PATTERNS[1], []),
}


@pytest.mark.parametrize("form", FORMS)
def test_ids_are_those_of_tokenizers(form: str) -> None:
    library = FORMS[form]()
    tokenizer = fast.load(json.loads(library.to_str()), {})
    assert tokenizer is not None

    @settings(deadline=None, max_examples=500)
    @given(st.text() | st.text("ab 'sST\n\r\t 1234é\u0301ßſK中文。!?-_\u00a0\u2028\u3000\x1c\x85İ🙂\u200d①Ⅷ²"))
    @example("it'S\u00a0 1234\r\n\n x")
    def equal(text: str) -> None:
        assert tokenizer.encode_batch_list([text])[0] == library.encode(text, add_special_tokens=False).ids

    equal()


@pytest.mark.parametrize("kind", [kind for kind in kinds.KINDS if kind != "ours"])
def test_any_other_form_is_left_to_tokenizers(kind: str) -> None:
    tokenizer, _ = kinds.KINDS[kind]()
    content = json.loads(tokenizer.to_str())
    special = {token["content"]: token["id"] for token in content["added_tokens"] if token["special"]}
    assert fast.load(content, special) is None
