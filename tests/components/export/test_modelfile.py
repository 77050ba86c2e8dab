"""The Modelfile writes a conversation as the chat template does, and answers as the package."""

import re
from pathlib import Path

import jinja2

from components.export import modelfile
from components.tokenizer.tokenizer import Message, Tokenizer


def test_its_template_is_ours_in_go(tiny_package: Path) -> None:
    turns: list[Message] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "天 \n?"}]
    steps = {
        "{{- range .Messages }}": "{%- for m in messages %}", "{{ .Role }}": "{{ m.role }}",
        "{{ .Content }}": "{{ m.content }}", "{{ end }}": "{% endfor %}",
    }  # fmt: skip
    translated = modelfile.TEMPLATE
    for go, ours in steps.items():
        assert go in translated
        translated = translated.replace(go, ours)
    shown = jinja2.Environment(keep_trailing_newline=True).from_string(translated).render(messages=turns)
    tokenizer = Tokenizer.load(tiny_package)
    text = tokenizer.template.render(turns, answer_follows=True).text
    names = tokenizer.special_names
    plain = re.sub("\ufdd0[0-9a-f]{16}(\\d+)\ufdd1", lambda found: names[int(found[1])], text)
    assert shown == plain


def test_it_has_the_defaults_of_the_package(tiny_package: Path) -> None:
    text = modelfile.write(tiny_package, "tiny-f16.gguf", 96)
    assert text.startswith("FROM ./tiny-f16.gguf\n")
    for line in ("num_ctx 96", "num_predict 8", "temperature 0", "repeat_penalty 1.2", 'stop "<|im_end|>"'):
        assert f"PARAMETER {line}\n" in text
