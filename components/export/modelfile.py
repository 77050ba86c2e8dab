"""The Modelfile with which Ollama takes a GGUF file: https://github.com/ollama/ollama/blob/main/docs/modelfile.md"""

import json
from pathlib import Path

from components.tokenizer.chat_template import CHAT_TEMPLATE
from components.tokenizer.tokenizer import Tokenizer

# Ollama's templates are Go's; this one writes what CHAT_TEMPLATE does, before an answer.
TEMPLATE = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


def write(package: Path, file: str, window: int) -> str:
    """The Modelfile for a GGUF file beside it, with the defaults of the package.

    Another chat template than ours is left to Ollama, which knows many by the one inside the file.
    """
    tokenizer = Tokenizer.load(package)
    defaults = json.loads((package / "generation_config.json").read_text(encoding="utf-8"))
    lines = [f"FROM ./{file}"]
    if tokenizer.template.source == CHAT_TEMPLATE:
        lines.append(f'TEMPLATE """{TEMPLATE}"""')
    settings = {
        "num_ctx": window,
        "num_predict": defaults["max_new_tokens"],
        "temperature": defaults.get("temperature", 0),
        "top_p": defaults.get("top_p", 1),
        "repeat_penalty": defaults["repetition_penalty"],
    }
    lines += [f"PARAMETER {name} {value}" for name, value in settings.items()]
    names = tokenizer.special_names
    lines += [f"PARAMETER stop {json.dumps(names[token])}" for token in defaults["eos_token_id"]]
    return "\n".join(lines) + "\n"
