"""Requests as spans, where somebody has set up OpenTelemetry."""

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.components.support import serving
from tests.components.support.serving import WRITER

TRACE = "0af7651916cd43dd8448eb211c80319c"
BODY = {"model": WRITER, "prompt": "The quick", "max_tokens": 3, "temperature": 0}


@pytest.fixture(scope="module")
def provider() -> Iterator[TracerProvider]:
    """The provider of this process, which has no other one."""
    found = TracerProvider()
    trace.set_tracer_provider(found)
    yield found
    found.shutdown()


@pytest.fixture
def exported(provider):
    found = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(found))
    return found


def spans(exported, count):
    serving.until(lambda: len(exported.get_finished_spans()) == count, f"{count} spans")
    return {span.name: span for span in exported.get_finished_spans()}


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_a_span_that_names_who_answered(address, exported, stream):
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    said = httpx.post(f"{address}/v1/completions", json={**BODY, "stream": stream}, headers=headers, timeout=60)
    found = spans(exported, 2)
    request, queue = found["POST /v1/completions"], found["queue"]
    assert request.kind == SpanKind.SERVER
    assert f"{request.context.trace_id:032x}" == TRACE
    assert queue.parent.span_id == request.context.span_id
    told = dict(request.attributes)
    assert told.pop("gen_ai.response.id") in said.text
    assert told.pop("gen_ai.usage.input_tokens") > len(BODY["prompt"].split())
    assert 0 < told.pop("gen_ai.response.time_to_first_chunk") < 60
    assert (
        told.items()
        >= {
            "http.request.method": "POST",
            "http.route": "/v1/completions",
            "http.response.status_code": 200,
            "gen_ai.provider.name": "lmforge",
            "gen_ai.response.model": "lmforge-writer/1",
            "gen_ai.usage.output_tokens": 3,
        }.items()
    )
    assert BODY["prompt"] not in told.values()


def test_a_refusal_is_no_error_of_the_server_and_a_failure_is(address, exported):
    httpx.post(f"{address}/v1/completions", json={})
    assert spans(exported, 1)["POST /v1/completions"].status.status_code == StatusCode.UNSET
    exported.clear()
    with serving.running(["nobody"]) as without_model:
        httpx.post(f"{without_model}/v1/completions", json={**BODY, "model": "nobody"})
    assert spans(exported, 2)["POST /v1/completions"].status.status_code == StatusCode.ERROR
