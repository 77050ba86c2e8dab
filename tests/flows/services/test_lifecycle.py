"""What a person is told as the services start."""

import pytest

from flows.services import lifecycle


def test_what_others_reach_is_told_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    assert lifecycle.warning("127.0.0.1") == ""
    assert "There is no authentication" in lifecycle.warning("0.0.0.0")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:secret")
    assert "Prefect asks for the password" in lifecycle.warning("0.0.0.0")
