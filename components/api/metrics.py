"""Figures for Prometheus: https://prometheus.io/docs/practices/naming/"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from components.api.challenger import Challenger
from components.api.loaded import Loaded
from components.traffic.log import Log
from components.traffic.served import Served

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ours = self._registry
        self._requests = Counter("lmforge_requests", "Requests answered", ["route", "status"], registry=ours)
        self._seconds = Histogram(
            "lmforge_request_seconds",
            "From a request to the end of its answer",
            ["route"],
            buckets=SECONDS,
            registry=ours,
        )
        self._first_token = Histogram(
            "lmforge_first_token_seconds", "From the engine's order to its first token", buckets=SECONDS, registry=ours
        )
        self._tokens = Counter("lmforge_tokens", "Tokens of prompts and answers", ["version", "kind"], registry=ours)

    def count(self, served: Served) -> None:
        """Count the tokens of a request and its answers."""
        version = f"{served.model}-{served.version}-{served.digest[:12]}"
        self._tokens.labels(version, "prompt").inc(served.prompt_tokens)
        self._tokens.labels(version, "answer").inc(served.answer_tokens)
        if served.seconds_to_first is not None:
            self._first_token.observe(served.seconds_to_first)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer; a status of 0 is that of a client that went away before it had one."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def watch(self, collect: Callable[[], Iterator[Metric]]) -> None:
        """Add figures that are read when somebody asks."""
        self._registry.register(_Collected(collect))

    def page(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)


class _Collected(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def gauge(name: str, text: str, value: float) -> Metric:
    """A figure that goes up and down."""
    return GaugeMetricFamily(f"lmforge_{name}", text, value)


def versions(champions: Mapping[str, Loaded]) -> Metric:
    """The number of the version that answers for each recipe."""
    family = GaugeMetricFamily("lmforge_version", "The version that answers", labels=["recipe"])
    for recipe, one in champions.items():
        family.add_metric([recipe], one.version.number)
    return family


def engines(champions: Mapping[str, Loaded]) -> Iterator[Metric]:
    """What the engines of the champions do, and have done."""
    figures = {name: one.engine.figures() for name, one in champions.items() if one.engine is not None}
    kinds = {"running": GaugeMetricFamily, "waiting": GaugeMetricFamily}
    for name in ("running", "waiting", "generated", "read", "reused", "prefix_hits"):
        family = kinds.get(name, CounterMetricFamily)(
            f"lmforge_engine_{name}", f"See docs/serve.md: {name}", labels=["recipe"]
        )
        for recipe, found in figures.items():
            family.add_metric([recipe], getattr(found, name))
        yield family


SHADOW = {"requests", "failed", "skipped", "answers", "agreement", "label_difference"}
BOTH = {"seconds", "characters", "refused"}
CANARY = {"answered": "Answers by the canary", "failed": "Requests in which it failed"}


def challengers(found: Mapping[str, Challenger]) -> Iterator[Metric]:
    """What is known of the challengers: in the shadow, and as canaries."""
    states = {recipe: state for recipe, one in found.items() if (state := one.state()) is not None}
    shadows = {recipe: state["shadow"] for recipe, state in states.items() if state["shadow"]}
    for name in sorted(SHADOW):
        family = GaugeMetricFamily(f"lmforge_shadow_{name}", f"See docs/watch.md: {name}", labels=["recipe"])
        for recipe, figures in shadows.items():
            if name in figures:
                family.add_metric([recipe], figures[name])
        yield family
    for name in sorted(BOTH):
        family = GaugeMetricFamily(f"lmforge_shadow_{name}", f"See docs/watch.md: {name}", labels=["recipe", "by"])
        for recipe, figures in shadows.items():
            for side in ("champion", "challenger"):
                if side in figures:
                    family.add_metric([recipe, side], figures[side][name])
        yield family
    for name, text in CANARY.items():
        family = GaugeMetricFamily(f"lmforge_canary_{name}", text, labels=["recipe"])
        for recipe, state in states.items():
            if state["canary"]:
                family.add_metric([recipe], state["canary"][name])
        yield family


def kept(log: Log) -> Metric:
    """What became of the answers that were to be kept."""
    family = CounterMetricFamily("lmforge_log_answers", "Answers that were to be kept", labels=["outcome"])
    for outcome, count in vars(log.outcomes).items():
        family.add_metric([outcome], count)
    return family
