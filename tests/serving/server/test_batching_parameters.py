"""BatchingParameters: defaults, TensorFlow Serving's rules, errors that name file and field."""

import pytest

from serving.server.batching_parameters import PER_MODEL_FILE, BatchingOptions, options_of_version, read_options
from serving.server.errors import ServingError


def read(tmp_path, text):
    path = tmp_path / "batching.config"
    path.write_text(text)
    return read_options(path)


def test_all_fields(tmp_path):
    options = read(
        tmp_path,
        """
        max_batch_size { value: 32 } batch_timeout_micros { value: 1500 }
        max_enqueued_batches { value: 7 } num_batch_threads { value: 3 }
        thread_pool_name { value: "pool" } allowed_batch_sizes: [4, 16]
        enable_large_batch_splitting { value: true } max_execution_batch_size { value: 16 }
        """,
    )
    assert options == BatchingOptions(32, 0.0015, 7, (4, 16), True, 16, 3, "pool")
    assert [options.padded(rows) for rows in (1, 4, 5, 16)] == [4, 4, 16, 16]


def test_defaults_are_those_of_tensorflow_serving(tmp_path):
    options = read(tmp_path, "")
    assert (options.max_batch_size, options.timeout_seconds) == (1000, 0)
    assert (options.max_enqueued_batches, options.allowed_batch_sizes) == (10, ())
    assert not options.splitting and options.padded(17) == 17
    splitting = read(
        tmp_path, "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } allowed_batch_sizes: 8"
    )
    assert splitting.max_execution_batch_size == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch { value: 8 }", "max_batch"),
        ("max_batch_size { value: 0 }", "max_batch_size: got 0, expected 1 to"),
        ("max_batch_size { value: 9999999999 }", "max_batch_size: got 9999999999"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros: got -1"),
        ("num_batch_threads { value: 0 }", "num_batch_threads: got 0"),
        ("max_enqueued_batches { value: 0 }", "max_enqueued_batches: got 0"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs: not supported"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [4, 2, 8]",
            "allowed_batch_sizes: got [4, 2, 8], entries must be positive and monotonically",
        ),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [2, 4]",
            "last entry must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [2, 8] "
            "enable_large_batch_splitting { value: true } max_execution_batch_size { value: 4 }",
            "last entry must match max_execution_batch_size; last entry was 8; expected 4",
        ),
        (
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 9 }",
            "max_execution_batch_size: got 9, expected at most max_batch_size 8",
        ),
    ],
)
def test_errors_name_file_and_field(tmp_path, text, message):
    with pytest.raises(ServingError) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "batching.config") in caught.value.message
    assert message in caught.value.message


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ServingError, match="nothing.config"):
        read_options(tmp_path / "nothing.config")


def test_a_version_may_bring_its_own(tmp_path):
    common = BatchingOptions(max_batch_size=4)
    assert options_of_version(tmp_path, common, per_model=False) is common
    assert options_of_version(tmp_path, common, per_model=True) is None  # as TensorFlow Serving
    (tmp_path / PER_MODEL_FILE).write_text("max_batch_size { value: 64 }")
    assert options_of_version(tmp_path, common, per_model=False) is common
    assert options_of_version(tmp_path, common, per_model=True).max_batch_size == 64
    assert options_of_version(tmp_path, None, per_model=True) is None
