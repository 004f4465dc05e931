"""Going back, giving up, and the loop's hook on a small model that really diverges."""

import pytest
import tensorflow as tf

from training.runs.checkpoints import SafeCheckpoints
from training.runs.ends import Diverged, RunFailed
from training.runs.survival import RolledBack, SkipPolicy, Survival, Verdict


def test_policy_gives_up_without_progress_only():
    policy = SkipPolicy(max_skipped=3, max_rollbacks=2)
    assert [policy.too_many(n) for n in (0, 2, 3)] == [False, False, True]
    assert [policy.judge(10) for _ in range(2)] == [Verdict.ROLL_BACK] * 2
    assert [policy.judge(20) for _ in range(2)] == [Verdict.ROLL_BACK] * 2  # progress
    assert policy.judge(20) is Verdict.GIVE_UP
    assert SkipPolicy().judge(None) is Verdict.GIVE_UP
    with pytest.raises(ValueError, match="max_skipped 0"):
        SkipPolicy(max_skipped=0)


class Trainer:
    """x ← x - rate · dx²/dx, skipped and counted where the result is not finite."""

    def __init__(self, folder, **options):
        self.x = tf.Variable(1.0)
        self.step, self.episodes = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
        self.skipped, self.bad_from, self.break_weights_at = 0, None, None
        self.checkpoints = SafeCheckpoints(
            tf.train.Checkpoint(x=self.x, step=self.step, episodes=self.episodes), folder, max_to_keep=2
        )
        self.messages = []
        self.hook = Survival(
            self.checkpoints, every=10, restored=self.restored, keep=(self.episodes,), check_every=1, **options
        )
        self.batches = iter(range(10_000))

    def restored(self):
        self.skipped = 0
        return int(self.step)

    def train_step(self, batch):
        self.step.assign_add(1)
        self.episodes.assign_add(1)
        if self.bad_from is not None and batch in self.bad_from:
            self.skipped += 1
        else:
            self.x.assign(self.x * 0.99)
            self.skipped = 0
        if batch == self.break_weights_at:
            self.x.assign(float("nan"))
        return {"skipped/in_a_row": tf.constant(float(self.skipped))}

    def run(self, stop):
        """The loop as it goes on after a rollback. Returns the steps it went back to."""
        step, back = 0, []
        while step < stop:
            metrics = self.train_step(next(self.batches))
            step += 1
            try:
                self.hook.after_step(step, metrics)
            except RolledBack as rolled_back:
                self.messages.append((step, str(rolled_back)))
                step = rolled_back.step
                back.append(step)
        self.hook.close(step)
        return back


def test_goes_back_and_on_with_the_next_episodes(tmp_path):
    trainer = Trainer(tmp_path, policy=SkipPolicy(max_skipped=5))
    trainer.bad_from = range(12, 20)
    assert trainer.run(40) == [10]
    assert (int(trainer.step), int(trainer.episodes)) == (40, 47)
    assert trainer.checkpoints.latest.endswith("ckpt-40")
    # 40 steps, less the 3 more of the 8 bad episodes that were skipped after going back.
    assert float(trainer.x) == pytest.approx(0.99**37, rel=1e-5)
    assert trainer.messages == [
        (17, f"5 updates in a row were not finite; went back from step 17 to step 10 ({tmp_path}/ckpt-10)")
    ]


def test_gives_up_where_going_back_does_not_help(tmp_path):
    trainer = Trainer(tmp_path, policy=SkipPolicy(max_skipped=5, max_rollbacks=2))
    trainer.bad_from = range(22, 10_000)
    with pytest.raises(Diverged, match=r"going back to .*ckpt-20 2 times did not help") as error:
        trainer.run(100)
    assert isinstance(error.value, RunFailed) and error.value.exit_code == 4
    assert len(trainer.messages) == 2
    assert trainer.checkpoints.latest.endswith("ckpt-20")  # the good one is still there


def test_gives_up_where_there_is_no_checkpoint_yet(tmp_path):
    trainer = Trainer(tmp_path, policy=SkipPolicy(max_skipped=5))
    trainer.bad_from = range(10_000)
    with pytest.raises(Diverged, match="step 5: .* there is no checkpoint to go back to"):
        trainer.run(100)


def test_broken_weights_are_not_saved_but_taken_back(tmp_path):
    trainer = Trainer(tmp_path)
    trainer.break_weights_at = 15
    assert trainer.run(40) == [10]
    assert "not finite" in trainer.messages[0][1]
    assert float(trainer.x) == pytest.approx(0.99**40, rel=1e-5)


def test_broken_weights_at_the_end_leave_the_last_good_checkpoint(tmp_path):
    trainer = Trainer(tmp_path)
    trainer.break_weights_at = 23
    trainer.run(25)
    assert trainer.checkpoints.latest.endswith("ckpt-20")
    assert "step 25: 1 of 1 variables are not finite" in trainer.checkpoints.unsaved


@pytest.mark.parametrize(("stop", "saves"), [(20, 2), (25, 3)])
def test_last_step_is_saved_once(tmp_path, stop, saves):
    trainer = Trainer(tmp_path)
    trainer.run(stop)
    assert trainer.checkpoints.latest.endswith(f"ckpt-{stop}")
    assert int(trainer.checkpoints.checkpoint.save_counter) == saves
