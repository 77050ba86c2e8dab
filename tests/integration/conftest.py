"""The working copies that the tests of the whole pipeline begin with."""

from tests.integration.support.copies import finished, fresh  # noqa: F401, fixtures
