"""What spans of OpenTelemetry say of a request, beyond the framework's own; without a provider it costs nothing.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
docs/decisions.md, "Spans are the framework's"
"""

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from components.traffic.served import Served

tracer = trace.get_tracer("lmforge")

TELEMETRY: TelemetryConfig = {"operation_spans": False, "logs": False}  # of FastAPI; its logs have what users wrote
QUEUE = "queue"  # the span of the wait for a turn


def answered(served: Served) -> None:
    """Say in the span of the request which version answered, and how much."""
    span = trace.get_current_span()
    span.set_attributes(
        {
            "gen_ai.provider.name": "lmforge",
            "gen_ai.response.id": served.id,
            "gen_ai.response.model": f"{served.model}/{served.version}",
            "gen_ai.usage.input_tokens": served.prompt_tokens,
            "gen_ai.usage.output_tokens": served.answer_tokens,
        }
    )
    if served.seconds_to_first is not None:
        span.set_attribute("gen_ai.response.time_to_first_chunk", served.seconds_to_first)
