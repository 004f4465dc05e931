"""Options that do not fit one another are refused, by name."""

import dataclasses

import pytest

from training.meta.options import JobOptions, StepOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision: got 'int8'"),
        ({"accumulate": 0}, "accumulate: got 0"),
        ({"steps_per_call": 0}, "steps_per_call: got 0"),
    ],
)
def test_step(options, message):
    with pytest.raises(ValueError, match=message):
        StepOptions(**options)


def test_batch_is_split_over_replicas_and_parts():
    options = StepOptions(accumulate=2)
    options.check_batch(12, replicas=3)
    with pytest.raises(ValueError, match="got 9, expected a multiple of 3 replicas x 2 parts"):
        options.check_batch(9, replicas=3)


@pytest.mark.parametrize("name", ["log_every", "preview_every", "checkpoint_every", "watch_every"])
def test_periods_are_multiples_of_the_steps_of_a_call(name):
    fields = dict.fromkeys((field.name for field in dataclasses.fields(JobOptions)), 8)
    fields["step_options"] = StepOptions(steps_per_call=4)
    JobOptions(**fields)
    with pytest.raises(ValueError, match=f"{name}: got 6, expected a multiple of steps_per_call=4"):
        JobOptions(**{**fields, name: 6})
