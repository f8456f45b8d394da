"""One wrapper a subject: the same function, captured by Continuum, by a peer, or by nobody.

Every peer is set up as its own documentation sets it up for production: batching on, content on, no other instrumentation.
"""

# The peers live in an environment of their own.
# pyright: reportMissingImports=false

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True)
class Wrapper:
    """A way to capture a function."""

    wrap: Callable[[Function], Function]
    flush: Callable[[], Any]
    """Returns when all that was captured has been delivered, or after a while."""
    lost: Callable[[], int] = lambda: 0
    """How many calls it says it did not keep."""


def none() -> Wrapper:
    """The bare function: what every other subject is charged on top of."""
    return Wrapper(lambda function: function, lambda: None)


def continuum() -> Wrapper:
    """`@capture`; CONTINUUM_DURABILITY says which way."""
    from continuum import capture, capture_stats
    from continuum.spool.spool import flush

    def lost() -> int:
        stats = capture_stats()
        return stats.dropped + stats.failed

    return Wrapper(capture(task="benchmark", model="made-up-model"), lambda: flush(60.0), lost)


def langfuse() -> Wrapper:
    """`@observe(as_type="generation")`."""
    from langfuse import get_client, observe

    client = get_client()
    return Wrapper(observe(name="answer", as_type="generation"), client.flush)


def mlflow() -> Wrapper:
    """`@mlflow.trace`, to an OTLP endpoint or to a tracking store, as the environment says."""
    import mlflow
    from mlflow.tracing import provider

    stored = os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite")

    def flush() -> None:
        if stored:
            return  # it writes some traces a second, and would hold up everybody else
        with suppress(Exception):
            provider.provider.get().force_flush()

    if stored:
        mlflow.set_experiment("benchmark")
    return Wrapper(mlflow.trace(name="answer", span_type="LLM"), flush)


def traceloop() -> Wrapper:
    """OpenLLMetry's `@task`."""
    from opentelemetry.trace import get_tracer_provider
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import task

    Traceloop.init(
        "benchmark", api_endpoint=os.environ["TRACELOOP_BASE_URL"], telemetry_enabled=False, instruments=set(), api_key="none"
    )
    return Wrapper(task(name="answer"), lambda: get_tracer_provider().force_flush())  # pyright: ignore[reportAttributeAccessIssue]


def openinference() -> Wrapper:
    """OpenInference's `@tracer.llm`."""
    from openinference.instrumentation import OITracer, TraceConfig

    provider = otel_provider()
    return Wrapper(OITracer(provider.get_tracer("benchmark"), config=TraceConfig()).llm(name="answer"), provider.force_flush)


def otel() -> Wrapper:
    """A bare OpenTelemetry span with the conversation in its attributes."""
    import json

    provider = otel_provider()
    tracer = provider.get_tracer("benchmark")

    def wrap(function: Function) -> Function:
        if iscoroutinefunction(function):

            @wraps(function)
            async def traced(messages: Any) -> Any:
                with tracer.start_as_current_span("answer") as span:
                    span.set_attribute("gen_ai.input.messages", json.dumps(messages))
                    said = await function(messages)
                    span.set_attribute("gen_ai.output.messages", json.dumps(said))
                    return said

            return traced

        @wraps(function)
        def traced_call(messages: Any) -> Any:
            with tracer.start_as_current_span("answer") as span:
                span.set_attribute("gen_ai.input.messages", json.dumps(messages))
                said = function(messages)
                span.set_attribute("gen_ai.output.messages", json.dumps(said))
                return said

        return traced_call

    return Wrapper(wrap, provider.force_flush)


def otel_provider() -> Any:
    """The SDK's provider with its batching exporter; the environment names the endpoint."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


WRAPPERS: dict[str, Callable[[], Wrapper]] = {
    "none": none,
    "continuum": continuum,
    "langfuse": langfuse,
    "mlflow": mlflow,
    "traceloop": traceloop,
    "openinference": openinference,
    "otel": otel,
}
