"""--mixed_precision: what is asked for stays, auto takes what pays and says so."""

import dataclasses

import pytest
import tensorflow as tf
from absl import logging

from tf_talking import cpu
from tf_talking.config import SMALL_BUDGETS, get_preset
from training.updates.precision import choose_precision

SMALL, PAPER = get_preset("small_budget"), get_preset("paper")


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    """What is logged; a machine without a GPU."""
    found = []
    monkeypatch.setattr(logging, "info", lambda text, *values: found.append(text % values))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    return found


@pytest.mark.parametrize(("has", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_small_budgets_take_what_the_cpu_multiplies(monkeypatch, lines, has, chosen):
    monkeypatch.setattr(cpu, "multiplies_bfloat16", lambda: has)
    assert choose_precision(None, SMALL) == chosen
    assert lines[0] == f"CPU: {cpu.cpu_line()}"
    assert lines[1].startswith(f"mixed precision: {chosen}, this CPU ")
    assert len(lines) == 2
    assert choose_precision("auto", PAPER) == chosen


def test_the_paper_and_what_is_asked_for_stay(monkeypatch, lines):
    monkeypatch.setattr(cpu, "multiplies_bfloat16", lambda: True)
    assert choose_precision(None, PAPER) == "float32"
    assert choose_precision(None, dataclasses.replace(SMALL, name="mine")) == "float32"
    assert choose_precision("float32", SMALL) == "float32"
    assert choose_precision("float16", SMALL) == "float16"
    assert not any("mixed precision" in line for line in lines)


@pytest.mark.parametrize(("capability", "chosen"), [((9, 0), "bfloat16"), ((7, 5), "float32"), (None, "float32")])
def test_gpus_of_compute_capability_8_multiply_it(monkeypatch, lines, capability, chosen):
    details = {"compute_capability": capability} if capability else {}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert choose_precision("auto", PAPER) == chosen
    assert lines == [line for line in lines if "this GPU" in line]


def test_small_budgets_are_the_presets_below_the_papers_size():
    assert {"tiny", "small", "small_budget"} < SMALL_BUDGETS
    assert not SMALL_BUDGETS & {"paper", "fsth", "ff", "v2_weights", "paper_no_match"}
