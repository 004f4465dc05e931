"""Options that do not fit one another are refused, by name."""

import dataclasses

import pytest

from tf_talking.config import get_preset
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


def job_fields(step_options: StepOptions, **train) -> dict:
    """A job of 8 steps."""
    fields = dict.fromkeys((field.name for field in dataclasses.fields(JobOptions)), 8)
    tiny = get_preset("tiny")
    config = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, **train))
    return fields | {"config": config, "step_options": step_options, "epochs": None}


def test_steps_at_which_only_d_would_learn_are_refused():
    JobOptions(**job_fields(StepOptions(), decay_steps=8))
    with pytest.raises(ValueError, match="steps: got 8, but from step 7 on E and G stand still.*give --steps=7 or"):
        JobOptions(**job_fields(StepOptions(), decay_steps=7))


def test_epochs_are_counted_in_steps_that_draw_every_video_so_often():
    options = JobOptions(**job_fields(StepOptions(), batch_size=4, decay_steps=17) | {"epochs": 3, "steps": 100_000})
    assert options.in_steps(22).steps == 17  # 66 episodes
    with pytest.raises(ValueError, match="steps: got 18, but from step 17 on"):
        options.in_steps(24)
    assert JobOptions(**job_fields(StepOptions()) | {"epochs": None}).in_steps(1000).steps == 8


@pytest.mark.parametrize("name", ["log_every", "preview_every", "checkpoint_every", "watch_every"])
def test_periods_are_multiples_of_the_steps_of_a_call(name):
    fields = job_fields(StepOptions(steps_per_call=4))
    JobOptions(**fields)
    with pytest.raises(ValueError, match=f"{name}: got 6, expected a multiple of steps_per_call=4"):
        JobOptions(**{**fields, name: 6})
