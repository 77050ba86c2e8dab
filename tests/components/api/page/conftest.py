"""Chromium with the page of a server; whatever it complains about fails the test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")  # of Debian, Ubuntu and Google


@pytest.fixture(scope="module")  # no longer: an event loop runs in this thread meanwhile
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("needs Chromium: `apt-get install chromium`, or `playwright install chromium`")
        with playwright.chromium.launch(executable_path=path) as found:
            yield found


@pytest.fixture
def complaints() -> list[str]:
    """Errors, warnings, and requests to others; a test takes out what it expects."""
    return []


@pytest.fixture
def device() -> dict[str, Any]:
    """What the browser pretends to be; tests give their own by `parametrize`."""
    return {}


@pytest.fixture
def page(browser: Browser, address: str, complaints: list[str], device: dict[str, Any]) -> Iterator[Page]:
    """The page of the server, once it has its models."""
    context = browser.new_context(**device)
    context.set_default_timeout(10_000)
    found = context.new_page()

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def asked(one: Request) -> None:
        if not one.url.startswith(address):
            complaints.append(one.url)

    found.on("console", heard)
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("request", asked)
    found.goto(address)
    expect(found.locator("#first option")).not_to_have_count(0)
    yield found
    context.close()
    assert complaints == []
