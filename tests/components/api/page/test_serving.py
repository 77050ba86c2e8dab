"""The files of the page: what goes out with them, and that a package of lmforge alone has them."""

import re
import tomllib
from pathlib import Path

import httpx
import pytest

from components.api.page.serving import FILES
from tests.components.support import serving

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def bare():
    """A server without models."""
    with serving.running([]) as address, httpx.Client(base_url=address) as client:
        yield client


def test_all_that_the_page_names_is_there_and_may_be_kept(bare):
    page = bare.get("/").raise_for_status()
    named = re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)
    for path in [*named, *(f"page/{file.name}" for file in FILES.iterdir())]:
        found = bare.get(f"/{path}").raise_for_status()
        assert found.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert found.headers["x-content-type-options"] == "nosniff"
        assert bare.get(f"/{path}", headers={"if-none-match": found.headers["etag"]}).status_code == 304
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert bare.head("/").status_code == 200


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/../serving.py", "/page/%2e%2e/serving.py", "/page"])
def test_nothing_else_is_there(bare, path):
    found = bare.get(path, follow_redirects=True)
    assert (found.status_code, found.json()["error"]["code"]) == (404, "not_found")


def test_no_script_makes_html_of_text_or_names_another_server():
    for file in FILES.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", text), (
            file.name
        )
        assert len(text.splitlines()) < 200, file.name


def test_a_package_has_every_file_that_is_no_module():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    others = [
        path for path in (ROOT / "components").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    packages = [*(path.parent for path in (ROOT / "components").rglob("__init__.py"))]
    packed = {path for package in packages for pattern in patterns for path in package.glob(pattern)}
    assert {*others} - packed == set()
