"""The set-up of .venv: what pip is configured with holds for uv too."""

import install


def test_what_pip_is_configured_with_is_said_to_uv() -> None:
    listed = """\
global.index-url='https://mirror.example.org/simple'
global.extra-index-url='https://one.example.org/simple\\nhttps://two.example.org/simple'
global.find-links='/wheels /more-wheels'
global.timeout='60'
freeze.find-links='/elsewhere'
"""
    assert install.translated(listed) == {
        "UV_DEFAULT_INDEX": "https://mirror.example.org/simple",
        "UV_EXTRA_INDEX_URL": "https://one.example.org/simple https://two.example.org/simple",
        "UV_FIND_LINKS": "/wheels,/more-wheels",
    }


def test_the_environment_goes_before_the_files() -> None:
    listed = ":env:.index-url='https://mine.example.org/simple'\nglobal.index-url='https://all.example.org/simple'\n"
    assert install.translated(listed) == {"UV_DEFAULT_INDEX": "https://mine.example.org/simple"}


def test_no_configuration_of_pip_says_nothing() -> None:
    assert install.translated("") == {}
