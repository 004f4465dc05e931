"""The hook: patience, grace, raised once and cleared, the file, stopping; on made-up numbers."""

import json
import logging

import pytest
import tensorflow as tf

from tf_talking.config import get_preset
from training.runs.ends import Collapsed
from training.watch.rules import RULES, Thresholds, thresholds_for
from training.watch.watchdog import Watchdog

HEALTHY = {
    "loss/discriminator": 1.0,
    "score/real": 0.8,
    "score/fake": -0.8,
    "score/active_real": 0.6,
    "score/active_fake": 0.6,
    "norm/w": 0.6,
    "watch/black_fake": 0.3,
    "watch/black_real": 0.3,
    "watch/red_fake": 0.0,
    "watch/red_real": 0.0,
    "watch/saturated_fake": 0.3,
    "watch/saturated_real": 0.3,
    "watch/contrast_fake": 0.2,
    "watch/contrast_real": 0.3,
    "watch/spread_fake": 0.2,
    "watch/spread_real": 0.3,
    "watch/swap_to_real": 0.5,
    "watch/embedding_rms": 0.3,
    "watch/embedding_zero": 0.7,
    "watch/embedding_spread": 0.6,
}

# What each collapse does to the numbers.
COLLAPSED = {
    "discriminator_saturated": {
        "score/active_real": 0.0,
        "score/active_fake": 0.01,
        "score/real": 3.0,
        "score/fake": -4.0,
        "loss/discriminator": 0.0,
    },
    "discriminator_useless": {
        "score/real": -0.14,
        "score/fake": -0.14,
        "loss/discriminator": 2.0,
        "score/active_real": 1.0,
        "score/active_fake": 1.0,
    },
    "output_black": {"watch/black_fake": 0.9},
    "output_red": {"watch/red_fake": 0.8},
    "output_saturated": {"watch/saturated_fake": 0.9},
    "output_flat": {"watch/contrast_fake": 0.001},
    "output_same": {"watch/spread_fake": 0.001},
    "embedder_ignored": {"watch/swap_to_real": 0.001},
    "embedding_dead": {"watch/embedding_zero": 1.0},
    "embedding_vanishing": {"watch/embedding_rms": 1e-5},
    "embedding_same": {"watch/embedding_spread": 0.001},
    "w_vanishing": {"norm/w": 0.001},
}

EAGER = Thresholds(grace=0, patience=2, slow_patience=3)


def make(tmp_path=None, **options):
    path = tmp_path / "alarms.jsonl" if tmp_path else None
    return Watchdog(lambda: {}, every=1, alarms_path=path, thresholds=EAGER, **options)


def judge(watchdog, values, times, start=1):
    for step in range(start, start + times):
        watchdog.judge(step, values)


def test_every_rule_has_a_case_here():
    assert set(COLLAPSED) == set(RULES)


def test_healthy_numbers_raise_nothing():
    watchdog = make()
    judge(watchdog, HEALTHY, 20)
    assert watchdog.raised == set()


@pytest.mark.parametrize("alarm", sorted(RULES))
def test_each_collapse_raises_its_alarm_only(alarm):
    watchdog = make()
    patience = RULES[alarm].patience(EAGER)
    judge(watchdog, HEALTHY | COLLAPSED[alarm], patience - 1)
    assert watchdog.raised == set()
    judge(watchdog, HEALTHY | COLLAPSED[alarm], 1, start=patience)
    assert watchdog.raised == {alarm}


def test_a_dark_video_is_no_collapse():
    dark = {
        "watch/black_fake": 0.95,
        "watch/black_real": 0.97,
        "watch/saturated_fake": 0.9,
        "watch/saturated_real": 0.95,
        "watch/contrast_fake": 0.01,
        "watch/contrast_real": 0.01,
        "watch/spread_fake": 0.0,
        "watch/spread_real": 0.0,
    }
    watchdog = make()
    judge(watchdog, HEALTHY | dark, 10)
    assert watchdog.raised == set()


def test_said_once_cleared_and_said_again(tmp_path, caplog):
    watchdog = make(tmp_path)
    bad = HEALTHY | COLLAPSED["embedder_ignored"]
    with caplog.at_level(logging.INFO):
        judge(watchdog, bad, 8, start=1)  # raised at 2, then silent
        judge(watchdog, HEALTHY, 1, start=9)  # one good value does not clear it
        judge(watchdog, bad, 1, start=10)
        judge(watchdog, HEALTHY, 4, start=11)  # cleared at 12
        judge(watchdog, bad, 4, start=15)  # raised again at 16
    lines = [json.loads(line) for line in (tmp_path / "alarms.jsonl").read_text().splitlines()]
    assert [(line["step"], line["state"]) for line in lines] == [(2, "raised"), (12, "cleared"), (16, "raised")]
    assert set(lines[0]) == {"step", "alarm", "state", "message", "value", "threshold"}
    assert lines[0]["alarm"] == "embedder_ignored"
    assert (lines[0]["value"], lines[0]["threshold"]) == (0.001, EAGER.swap)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "step 2: alarm embedder_ignored" in warnings[0] and "try:" in warnings[0]


def test_no_alarm_in_the_grace_period():
    watchdog = Watchdog(lambda: {}, 1, thresholds=Thresholds(grace=100, patience=2))
    bad = HEALTHY | COLLAPSED["output_black"]
    judge(watchdog, bad, 100, start=1)  # steps 1 ... 100
    assert watchdog.raised == set()
    judge(watchdog, bad, 1, start=101)
    assert watchdog.raised == {"output_black"}


def test_grace_follows_the_learning_rate():
    assert [thresholds_for(get_preset(n)).grace for n in ("tiny", "paper")] == [250, 5000]
    given = thresholds_for(get_preset("paper"), grace=7, patience=9)
    assert (given.grace, given.patience) == (7, 9)


def test_missing_and_undefined_values_change_nothing():
    watchdog = make()
    judge(watchdog, HEALTHY | COLLAPSED["embedder_ignored"], 2)
    judge(watchdog, HEALTHY | {"watch/swap_to_real": float("nan")}, 5, start=3)
    judge(watchdog, {}, 5, start=8)
    assert watchdog.raised == {"embedder_ignored"}


def test_stops_on_the_named_alarm_only(tmp_path):
    watchdog = make(tmp_path, stop_on=["output_red"])
    judge(watchdog, HEALTHY | COLLAPSED["output_black"], 5)
    with pytest.raises(Collapsed, match=r"step 7: output_red \(stop_on\)") as error:
        judge(watchdog, HEALTHY | COLLAPSED["output_red"], 2, start=6)
    assert error.value.exit_code == 5
    assert "output_red" in (tmp_path / "alarms.jsonl").read_text()
    with pytest.raises(ValueError, match="unknown alarm 'output_blue', expected one of"):
        make(stop_on=["output_blue"])


def test_an_alarm_that_can_not_be_written_is_still_raised(tmp_path, caplog):
    watchdog = make(tmp_path / "missing")
    judge(watchdog, HEALTHY | COLLAPSED["output_black"], 2)
    assert watchdog.raised == {"output_black"}
    assert "alarms.jsonl can not be written" in caplog.text


def test_a_log_that_fails_hides_no_alarm():
    def fail(step, values):
        raise OSError("No space left on device")

    measured = {name: tf.constant(1.0) for name in COLLAPSED["embedding_dead"]}
    watchdog = Watchdog(lambda: measured, 1, thresholds=EAGER, log=fail)
    for step in (1, 2):
        with pytest.raises(OSError, match="No space"):
            watchdog.after_step(step, {})
    assert watchdog.raised == {"embedding_dead"}


def test_rules_that_do_not_apply_are_left_out():
    watchdog = make(leave_out=["w_vanishing"])
    judge(watchdog, HEALTHY | COLLAPSED["w_vanishing"], 5)
    assert watchdog.raised == set()


def test_hook_looks_every_so_many_steps_at_means():
    looks, logged = [], []

    def measure():
        looks.append(True)
        return {"watch/swap_to_real": tf.constant(0.5), "watch/swap": tf.constant(float("nan"))}

    watchdog = Watchdog(measure, every=10, thresholds=EAGER, log=lambda step, values: logged.append((step, values)))
    for step in range(1, 25):
        active = float("nan") if step == 3 else float(step % 2)  # step 3 was skipped
        watchdog.after_step(step, {"score/active_real": tf.constant(active)})
    assert len(looks) == 2
    assert logged == [(10, {"watch/swap_to_real": 0.5}), (20, {"watch/swap_to_real": 0.5})]
    assert watchdog.values["score/active_real"] == 0.5  # mean over steps 11 ... 20
    watchdog.close(24)
