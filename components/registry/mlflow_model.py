"""A package as an MLflow model: the pyfunc file, the modules that it imports, and the package's files as artifacts."""

import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from components.serving.request import Options

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

COMPONENTS = Path(__file__).parents[1]
ARTIFACTS = "artifacts"  # the folder of an MLflow model with its artifacts: here, the files of the package
PYFUNC = COMPONENTS / "serving" / "pyfunc.py"
IMPORTED = (  # by pyfunc.py
    "__init__.py",
    "core/__init__.py",
    "core/errors.py",
    "core/files.py",
    "model",
    "serving/__init__.py",
    "serving/answering.py",
    "serving/reply.py",
    "serving/request.py",
    "tasks/__init__.py",
    "tasks/entities.py",
    "tasks/metrics.py",
    "tasks/prompts.py",
    "tasks/task.py",
    "tasks/template.py",
    "tokenizer",
)
REQUIREMENTS = (
    "mlflow",
    "torch",
    "safetensors",
    "tokenizers",
    "gigatoken",
    "awkward",
    "Jinja2",
    "numpy",
    "annotated-types",
)


def save(package: Path, folder: Path, model_id: str) -> None:
    """Write the MLflow model of a package to a folder that does not exist yet; it runs without this repository.

    `model_id` is that of the logged model whose files these become.
    docs/decisions.md, "Nothing of a model is ever unpickled"
    """
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / COMPONENTS.name
        _copy_code(code)
        save_model(
            folder,
            python_model=str(PYFUNC),
            artifacts={file.name: str(file) for file in sorted(package.iterdir())},
            code_paths=[str(code)],
            signature=signature(package),
            input_example=["What is the capital of France?"],
            pip_requirements=requirements(package),
            mlflow_model=Model(model_uuid=model_id, model_id=model_id),
        )


def signature(package: Path) -> "ModelSignature":
    """One unnamed column of prompts in, one of answers out; a generative model takes parameters too.

    A prompt is a text or a list of messages: for a column of strings, MLflow would make "None" of null. Parameters
    default to those of the package.
    docs/decisions.md, "The signature takes any type of input"
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    prompts = Schema([ColSpec(AnyType())])  # type: ignore[no-untyped-call]
    answers = Schema([ColSpec("string")])
    if not (package / "generation_config.json").exists():
        return ModelSignature(inputs=prompts, outputs=answers)
    defaults = Options.of_package(json.loads((package / "generation_config.json").read_text()))
    params = [
        ParamSpec("max_new_tokens", "long", defaults.max_new_tokens),
        ParamSpec("temperature", "double", defaults.temperature),
        ParamSpec("top_p", "double", defaults.top_p),
        ParamSpec("seed", "long", defaults.seed),
        ParamSpec("stop", "string", list(defaults.stop), shape=(-1,)),
    ]
    return ModelSignature(inputs=prompts, outputs=answers, params=ParamSchema(params))


def requirements(package: Path) -> list[str]:
    """The packages that serving needs, in the installed versions, without the build (`+cpu`) that no index offers."""
    from components.model import hf

    names = [*REQUIREMENTS, "transformers"] if hf.runs_in_transformers(package) else REQUIREMENTS
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in names]


def _copy_code(target: Path) -> None:
    for part in IMPORTED:
        source = COMPONENTS / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / part)
