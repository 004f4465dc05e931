"""Prometheus metrics of the embedded server.

Names, labels, units (microseconds) and buckets are TensorFlow Serving's where it has the metric;
what it does not have is named `:embedded_server:...`:

    :tensorflow:serving:request_count{model_name, status}
    :tensorflow:serving:request_latency{model_name, API, entrypoint}       successful requests
    :tensorflow:serving:runtime_latency{model_name, API, runtime}          runs of a graph
    :tensorflow:serving:model_warmup_latency{model_path, status}
    :tensorflow:serving:batching_session:queuing_latency{thread_pool_name}
    :tensorflow:serving:batching_session:input_batch_size, :processed_batch_size, :padding_size
    :embedded_server:requests_in_flight                  received, not answered yet
    :embedded_server:queue_length{model_name}            requests that wait for a batch
    :embedded_server:model_version_state{model_name, version, state}       1 for the current state
"""

from collections.abc import Callable, Iterable

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

_SERVING = ":tensorflow:serving:"
_OWN = ":embedded_server:"


def _buckets(scale: float, growth: float, count: int) -> list[float]:
    return [scale * growth**power for power in range(count)]


class Metrics:
    """The metrics of one server. Safe to use from any thread."""

    def __init__(self):
        self.registry = CollectorRegistry()
        microseconds = _buckets(10, 1.8, 33)
        rows = _buckets(1, 2, 14)
        self._requests = Counter(_SERVING + "request_count", "Requests.", ["model_name", "status"], registry=None)
        self.registry.register(_PlainNames(self._requests))
        self.request_latency = self._histogram("request_latency", microseconds, "model_name", "API", "entrypoint")
        self.runtime_latency = self._histogram("runtime_latency", microseconds, "model_name", "API", "runtime")
        self.model_warmup_latency = self._histogram("model_warmup_latency", microseconds, "model_path", "status")
        self.queuing_latency = self._histogram(
            "batching_session:queuing_latency", _buckets(100, 1.2, 52), "thread_pool_name"
        )
        self.input_batch_size = self._histogram("batching_session:input_batch_size", rows)
        self.processed_batch_size = self._histogram("batching_session:processed_batch_size", rows)
        self.padding_size = self._histogram("batching_session:padding_size", rows)
        self.in_flight = Gauge(_OWN + "requests_in_flight", "Received, not answered.", registry=self.registry)

    def request(self, model: str, status: grpc.StatusCode, seconds: float, entrypoint: str = "GRPC") -> None:
        """Counts a request; `model` is "" where the request names none that is served."""
        self._requests.labels(model, status.name).inc()
        if status == grpc.StatusCode.OK:
            self.request_latency.labels(model, "Predict", entrypoint).observe(1e6 * seconds)

    def run(self, model: str, seconds: float) -> None:
        """Counts a run of a graph."""
        self.runtime_latency.labels(model, "Predict", "TF1").observe(1e6 * seconds)

    def watch_queues(self, lengths: Callable[[], dict[str, int]]) -> None:
        """Reads queue lengths by model when the metrics are asked for."""

        def family():
            family = GaugeMetricFamily(_OWN + "queue_length", "Waiting.", labels=["model_name"])
            for name, length in lengths().items():
                family.add_metric([name], length)
            return family

        self.registry.register(_Callback(family))

    def watch_versions(self, states: Callable[[], Iterable[tuple[str, int, str]]]) -> None:
        """Reads (model, version, state) when the metrics are asked for."""

        def family():
            family = GaugeMetricFamily(
                _OWN + "model_version_state", "Current state.", labels=["model_name", "version", "state"]
            )
            for name, version, state in states():
                family.add_metric([name, str(version), state], 1)
            return family

        self.registry.register(_Callback(family))

    def _histogram(self, name: str, buckets: list[float], *labels: str) -> Histogram:
        return Histogram(_SERVING + name, name, labels, buckets=buckets, registry=self.registry)


class _PlainNames:
    """A counter under its own name, as TensorFlow Serving has it, without `_total`."""

    def __init__(self, counter: Counter):
        self._counter = counter

    def collect(self):
        for family in self._counter.collect():
            plain = Metric(family.name, family.documentation, "unknown")
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    plain.add_sample(family.name, sample.labels, sample.value)
            yield plain


class _Callback:
    """A family that is computed when it is asked for."""

    def __init__(self, family: Callable[[], GaugeMetricFamily]):
        self._family = family

    def collect(self):
        yield self._family()
