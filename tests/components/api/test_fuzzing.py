"""Any request that the OpenAPI page allows, and many that it does not, gets an answer that is no failure of ours."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from tests.components.support.serving import LABELLER, WRITER

MODELS = (WRITER, LABELLER, f"{WRITER}@challenger", f"{WRITER}@7", "nobody")
SECONDS = 60


@pytest.fixture(scope="module")
def api(address):
    schema = httpx.get(f"{address}/openapi.json").json()
    for part in schema["components"]["schemas"].values():  # or nearly all would ask for models that do not exist
        if "model" in part.get("properties", {}):
            part["properties"]["model"] = {"type": "string", "enum": list(MODELS)}
    return schemathesis.openapi.from_dict(schema)


loaded = schemathesis.pytest.from_fixture("api")
QUICK = settings(
    max_examples=10, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True, deadline=None
)


@loaded.parametrize()
@QUICK
def test_no_request_fails_or_hangs(case, address):
    answer = case.call(base_url=address, timeout=SECONDS)
    case.validate_response(answer, checks=[not_a_server_error])


@pytest.mark.slow("more of the same requests")
@loaded.parametrize()
@settings(QUICK, max_examples=500, derandomize=False)
def test_no_request_of_very_many_fails_or_hangs(case, address):
    answer = case.call(base_url=address, timeout=SECONDS)
    case.validate_response(answer, checks=[not_a_server_error])
