"""The batcher alone, with a servable that notes what it is asked to run."""

import concurrent.futures
import threading
import time
from concurrent.futures import Future

import grpc
import numpy as np
import pytest

from serving.server.batching.batcher import Batcher
from serving.server.batching_parameters import BatchingOptions
from serving.server.errors import ServingError, invalid_argument
from serving.server.metrics import Metrics

Code = grpc.StatusCode
LONG = 30.0  # seconds that a batch waits for more, where a test fills it up


class Doubler:
    """y = 2x; refuses negative values; `gate` holds every run back."""

    name, version = "doubler", 1

    def __init__(self, **options):
        self.batching = BatchingOptions(**options)
        self.runs: list[list] = []
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()

    def run(self, feeds, fetches, timeout):
        x = feeds["x"]
        self.running.set()
        assert self.gate.wait(LONG)
        self.runs.append(x[:, 0].tolist() if x.ndim > 1 else x.tolist())
        if (x < 0).any():
            raise invalid_argument("a value is negative")
        return [2 * x if fetch == "y" else np.float32(1) for fetch in fetches]


@pytest.fixture
def make():
    """make(servable) -> (submit, batcher)."""
    batchers = []

    def make(servable, threads=1):
        batcher = Batcher(BatchingOptions(threads=threads), metrics := Metrics())
        batcher.metrics = metrics
        batchers.append((batcher, servable))

        def submit(x, fetches=("y",), deadline=None):
            future = Future()
            feeds = {"x": np.asarray(x, np.float32)}
            batcher.submit(servable, feeds, list(fetches), deadline, future)
            return future

        return submit, batcher

    yield make
    for batcher, servable in batchers:
        servable.gate.set()
        batcher.close()


def values(future):
    (y,) = future.result(LONG)
    return y.tolist()


def test_requests_are_put_together_and_taken_apart(make):
    servable = Doubler(max_batch_size=4, max_execution_batch_size=4, timeout_seconds=LONG)
    submit, _ = make(servable)
    futures = [submit([1]), submit([2, 3]), submit([4])]  # full: starts at once
    assert [values(future) for future in futures] == [[2], [4, 6], [8]]
    assert servable.runs == [[1, 2, 3, 4]]


def test_a_batch_that_is_not_full_starts_after_its_timeout_padded(make):
    servable = Doubler(max_batch_size=8, max_execution_batch_size=8, allowed_batch_sizes=(4, 8), timeout_seconds=0.02)
    submit, _ = make(servable)
    assert values(submit([5, 6])) == [10, 12]
    assert servable.runs == [[5, 6, 5, 5]]  # padded with a row that is known to fit


def test_a_request_that_does_not_fit_closes_the_open_batch(make):
    servable = Doubler(max_batch_size=4, max_execution_batch_size=4, timeout_seconds=LONG)
    submit, _ = make(servable)
    first, second = submit([1, 2, 3]), submit([4, 5, 6, 7])
    assert values(first) == [2, 4, 6] and values(second) == [8, 10, 12, 14]
    assert servable.runs == [[1, 2, 3], [4, 5, 6, 7]]


def test_large_requests_are_split(make):
    servable = Doubler(max_batch_size=10, max_execution_batch_size=4, splitting=True, timeout_seconds=0.02)
    submit, _ = make(servable)
    futures = [submit([1]), submit(range(2, 11)), submit([11])]
    assert values(futures[1]) == [2 * x for x in range(2, 11)]
    assert values(futures[0]) == [2] and values(futures[2]) == [22]
    assert servable.runs == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]]


def test_other_shapes_and_other_outputs_get_batches_of_their_own(make):
    servable = Doubler(max_batch_size=2, max_execution_batch_size=2, timeout_seconds=LONG)
    submit, _ = make(servable)
    wide, narrow, other = submit([[1, 1]]), submit([[2]]), submit([[3, 3]], fetches=("y", "y"))
    ends = submit([[4, 4]]), submit([[5]]), submit([[6, 6]], fetches=("y", "y"))
    for future in (wide, narrow, other, *ends):
        future.result(LONG)
    assert sorted(servable.runs) == [[1, 4], [2, 5], [3, 6]]


def test_one_bad_request_does_not_fail_the_others(make):
    servable = Doubler(max_batch_size=3, max_execution_batch_size=3, timeout_seconds=LONG)
    submit, _ = make(servable)
    good, bad, fine = submit([1]), submit([-1]), submit([3])
    assert values(good) == [2] and values(fine) == [6]
    with pytest.raises(ServingError, match="negative") as caught:
        bad.result(LONG)
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_cancelled_and_late_requests_are_not_computed(make):
    servable = Doubler(max_batch_size=1, max_execution_batch_size=1)
    submit, _ = make(servable)
    servable.gate.clear()
    first = submit([1])
    assert servable.running.wait(LONG)
    cancelled, late = submit([2]), submit([3], deadline=time.monotonic() + 0.01)
    last = submit([4])
    assert cancelled.cancel()
    time.sleep(0.02)
    servable.gate.set()
    assert values(first) == [2] and values(last) == [8]
    with pytest.raises(ServingError) as caught:
        late.result(LONG)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert servable.runs == [[1], [4]]
    assert not first.cancel()


def test_a_full_queue_refuses_and_recovers(make):
    servable = Doubler(max_batch_size=2, max_execution_batch_size=2, max_enqueued_batches=2)
    submit, batcher = make(servable)
    servable.gate.clear()
    running = submit([0, 0])
    assert servable.running.wait(LONG)
    waiting = [submit([n]) for n in range(4)]
    assert batcher.lengths() == {"doubler": 4}
    with pytest.raises(ServingError, match="max_enqueued_batches=2") as caught:
        submit([9])
    assert caught.value.code == Code.UNAVAILABLE
    servable.gate.set()
    assert values(running) == [0, 0]
    assert [values(future) for future in waiting] == [[0], [2], [4], [6]]
    assert values(submit([9])) == [18]
    assert batcher.lengths() == {}


def test_abandoned_requests_make_room_in_the_queue(make):
    servable = Doubler(max_batch_size=2, max_execution_batch_size=2, max_enqueued_batches=2)
    submit, batcher = make(servable)
    servable.gate.clear()
    running = submit([0, 0])
    assert servable.running.wait(LONG)
    waiting = [submit([n]) for n in range(4)]
    for dead in (waiting[0], waiting[1], waiting[2]):
        assert dead.cancel()
        batcher.abandon(dead)
    assert batcher.lengths() == {"doubler": 1}
    later = [submit([8]), submit([9])]  # the one beside waiting[3], the other in a new batch
    with pytest.raises(ServingError, match="max_enqueued_batches=2"):
        submit([10, 11])
    servable.gate.set()
    assert values(running) == [0, 0]
    assert [values(future) for future in (waiting[3], *later)] == [[6], [16], [18]]
    assert servable.runs == [[0, 0], [3, 8], [9]]


def test_who_gives_up_waiting_has_waited(make):
    """An autoscaler looks at the time in the queue, which may not fall because clients time out."""
    servable = Doubler(max_batch_size=1, max_execution_batch_size=1)
    submit, batcher = make(servable)
    servable.gate.clear()
    running = submit([1])
    assert servable.running.wait(LONG)
    abandoned, cancelled, late = submit([2]), submit([3]), submit([4], deadline=time.monotonic() + 0.01)
    time.sleep(0.05)
    assert abandoned.cancel() and cancelled.cancel()
    batcher.abandon(abandoned)
    servable.gate.set()
    assert values(running) == [2]
    assert late.exception(LONG).code == Code.DEADLINE_EXCEEDED
    name = ":tensorflow:serving:batching_session:queuing_latency"
    label = {"thread_pool_name": BatchingOptions().pool_name}
    count, total = (batcher.metrics.registry.get_sample_value(f"{name}_{end}", label) for end in ("count", "sum"))
    assert count == 4
    assert 3 * 0.05e6 <= total < 4 * LONG * 1e6


def test_the_rest_of_an_abandoned_request_is_not_computed(make):
    servable = Doubler(max_batch_size=6, max_execution_batch_size=2, splitting=True)
    submit, batcher = make(servable)
    servable.gate.clear()
    split = submit(range(6))
    assert servable.running.wait(LONG)
    assert not split.cancel()  # its first rows are being computed
    batcher.abandon(split)
    with pytest.raises(ServingError) as caught:
        split.result(LONG)
    assert caught.value.code == Code.CANCELLED
    late = Future()
    assert late.cancel()
    batcher.submit(servable, {"x": np.zeros(1)}, ["y"], None, late)  # cancelled on the way to the queue
    assert batcher.lengths() == {}
    last = submit([7])
    servable.gate.set()
    assert values(last) == [14]
    assert servable.runs == [[0, 1], [7]]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "at least one input tensor"),
        ({"x": np.float32(1)}, "at least one dimension"),
        ({"x": np.zeros(2), "z": np.zeros(3)}, "equal 0th-dimension size"),
        ({"x": np.zeros(5)}, "Task size 5 is larger than maximum input batch size 4"),
    ],
)
def test_what_can_not_be_batched_is_refused(make, feeds, message):
    servable = Doubler(max_batch_size=4, max_execution_batch_size=4)
    _, batcher = make(servable)
    with pytest.raises(ServingError, match=message) as caught:
        batcher.submit(servable, feeds, ["y"], None, Future())
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_an_output_without_rows_is_an_error_not_a_hang(make):
    submit, _ = make(Doubler())
    with pytest.raises(ServingError, match="0th dimension") as caught:
        submit([1], fetches=("scalar",)).result(LONG)
    assert caught.value.code == Code.FAILED_PRECONDITION


def test_requests_without_rows(make):
    submit, _ = make(Doubler(max_batch_size=4, max_execution_batch_size=4))
    assert values(submit(np.zeros(0))) == []


def test_close_computes_what_is_queued(make):
    servable = Doubler(max_batch_size=8, max_execution_batch_size=8, timeout_seconds=LONG)
    submit, batcher = make(servable)
    futures = [submit([1]), submit([2])]
    batcher.close()
    assert [values(future) for future in futures] == [[2], [4]]
    with pytest.raises(ServingError, match="shutting down"):
        submit([3])


def test_many_threads_and_sizes_lose_nothing(make):
    servable = Doubler(
        max_batch_size=8,
        max_execution_batch_size=5,
        splitting=True,
        allowed_batch_sizes=(1, 5),
        max_enqueued_batches=1000,
        timeout_seconds=0.001,
    )
    submit, _ = make(servable, threads=3)

    def client(seed):
        random = np.random.default_rng(seed)
        for _ in range(50):
            rows = random.integers(0, 1000, random.integers(1, 9))
            assert values(submit(rows)) == (2 * rows).tolist()
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(client, range(8)))
    assert {len(run) for run in servable.runs} <= {1, 5}
