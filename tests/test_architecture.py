"""The rules of the house: who may import whom, and that every stage declares what it is made of."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

from components.data.cleaning import chunks

ROOT = Path(__file__).parents[1]
PACKAGES = ("components", "flows")

# Within components, who never imports whom.
FORBIDDEN = {
    "components.model": ("components.training", "components.evaluation", "components.serving", "components.data"),
    "components.tokenizer": ("components.training", "components.evaluation", "components.serving", "components.model"),
    "components.tasks": ("components.training", "components.evaluation", "components.serving", "components.model"),
    "components.data": (
        "components.training",
        "components.evaluation",
        "components.serving",
        "components.model",
        "components.tokenizer",
        "components.tasks",
    ),
}


def modules() -> dict[str, Path]:
    """All modules of the repository by their names."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache
def imports(name: str) -> frozenset[str]:
    """What a module imports anywhere in its text, except for type checking."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    return frozenset(_imports(tree))


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.module, "a relative import"
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from _imports(child)


def closure(name: str) -> set[str]:
    """A module, what it imports of the repository, what that imports, and the packages around them."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in found or module not in MODULES:
            continue
        found.add(module)
        waiting += [*imports(module), module.rpartition(".")[0]]
    return found


def stages() -> dict[str, tuple[str, list[str]]]:
    """Of each stage in dvc.yaml its module and its deps; a matrix counts as one stage."""
    graph = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    bodies = {name: stage.get("do", stage) for name, stage in graph.items()}
    return {name: (body["cmd"].split()[3], body["deps"]) for name, body in bodies.items()}


@pytest.mark.parametrize("name", sorted(stages()))
def test_the_command_of_a_stage_is_one_simple_command(name: str) -> None:
    graph = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
    command = graph.get("do", graph)["cmd"]
    assert re.match(r"exec (python|\$\{processes\.launcher\}) -m components\.", command)
    assert not set(command) & set("&|;<>\n")


@pytest.mark.parametrize("name", sorted(stages()))
def test_the_deps_of_a_stage_cover_what_it_imports(name: str) -> None:
    module, deps = stages()[name]
    files = {MODULES[part].relative_to(ROOT) for part in closure(module)}
    needed = {path for path in files if (ROOT / path).read_text(encoding="utf-8").strip() and not _is_docstring(path)}
    declared = [Path(dep) for dep in deps]
    missing = [str(path) for path in sorted(needed) if not any(path.is_relative_to(dep) for dep in declared)]
    assert not missing, f"add to the deps of {name} in dvc.yaml: {', '.join(missing)}"


def _is_docstring(path: Path) -> bool:
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return len(body) == 1 and isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("name", sorted(stages()))
def test_every_file_among_the_deps_is_there(name: str) -> None:
    code = [dep for dep in stages()[name][1] if dep.startswith("components/")]
    assert [dep for dep in code if not (ROOT / dep).exists()] == []


def test_a_stage_is_a_file_of_its_name() -> None:
    assert {name: module for name, (module, _) in stages().items()} == {
        name: f"components.stages.{name.removesuffix('-base')}" for name in stages()
    }
    assert {name for name in MODULES if name.startswith("components.stages.")} == {
        module for module, _ in stages().values()
    }


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("components.stages.")])
def test_no_stage_imports_a_stage(name: str) -> None:
    assert not _among(imports(name), "components.stages")


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    """A room is a folder right below `components` or `flows`, or a file there."""
    below: dict[str, set[str]] = {}
    for name in MODULES:
        below.setdefault(_room(name), set()).update(map(_room, imports(name) & set(MODULES)))
    rooms = {room: others - {room, *PACKAGES} for room, others in below.items()}
    try:
        graphlib.TopologicalSorter(rooms).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_clean_rows_are_kept_under_all_code_that_makes_them() -> None:
    """Of `core` only what tells errors, reads settings and writes files may be missing."""
    of_room = [MODULES[name].relative_to(ROOT / "components") for name in closure(chunks.__name__) - {"components"}]
    others = [path for path in of_room if not any(path.is_relative_to(code) for code in chunks.CODE)]
    assert {path.name for path in others} <= {"__init__.py", "errors.py", "files.py", "params.py"}


def test_decisions_that_the_code_cites_are_there() -> None:
    """`docs/decisions.md, "Heading"` in a comment or docstring."""
    headings = set(re.findall(r"^### (.+)$", (ROOT / "docs/decisions.md").read_text(encoding="utf-8"), re.MULTILINE))
    cited = {
        (str(path.relative_to(ROOT)), heading)
        for path in MODULES.values()
        for heading in re.findall(r'docs/decisions\.md, "(.+?)"', path.read_text(encoding="utf-8"))
    }
    assert cited, "the code cites no decision"
    assert {(path, heading) for path, heading in cited if heading not in headings} == set()


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_test_imports_a_test() -> None:
    """What several tests need is in a folder `support`."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        used = set(_imports(ast.parse(path.read_text(encoding="utf-8"))))
        found = [name for name in used if re.match(r"tests\..*\b(test_|conftest)", name)]
        assert not found, f"{path.relative_to(ROOT)} imports {found}: move what it needs to a folder `support`"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_one_way(name: str) -> None:
    used = imports(name)
    if name.startswith("components"):
        assert not _among(used, "flows", "prefect", "dvc")
    if name.startswith("flows") and name not in ("flows.dvc.graph", "flows.dvc.repair"):
        assert not _among(used, "dvc")
    if name != "flows.dvc.graph":
        assert not _among(used, "flows.dvc.repair")
    for package, forbidden in FORBIDDEN.items():
        if _among({name}, package):
            assert not _among(used, *forbidden)


def _among(names: "set[str] | frozenset[str]", *packages: str) -> set[str]:
    """Those of the names that lie in the packages."""
    return {name for name in names for package in packages if name == package or name.startswith(f"{package}.")}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("flows.cli.main", ["prefect", "dvc", "torch", "mlflow", "great_expectations", "pyarrow", "pydantic"]),
        ("flows.settings", ["prefect", "dvc", "torch", "mlflow", "great_expectations", "datasets", "sklearn"]),
        ("flows.dvc.graph", ["prefect", "torch", "mlflow", "great_expectations", "pyarrow"]),
        ("flows.pipeline.train", ["torch", "mlflow", "great_expectations", "datasets", "sklearn", "matplotlib"]),
        ("components.lineage.exposure", ["torch", "mlflow", "datasets", "sklearn", "pandas", "scipy"]),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print(*sorted(set({heavy!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_all_that_is_locked_runs_on_the_oldest_python() -> None:
    """pip takes the newest version that runs on the Python that it runs on."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        (oldest,) = SpecifierSet(tomllib.load(file)["project"]["requires-python"])
    lines = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines()]
    locked = [line.name for line in lines if not line.marker or line.marker.evaluate()]
    wanted = {name: SpecifierSet(metadata.metadata(name).get("Requires-Python", "")) for name in locked}
    assert [name for name, pythons in wanted.items() if not pythons.contains(f"{oldest.version}.0")] == []
