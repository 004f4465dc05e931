"""Which of several workers is the chief, and where the others write."""

import types

import pytest
import tensorflow as tf

from tests.replicas import two_replicas
from training.runs.checkpoints import SafeCheckpoints, variables_of
from training.runs.devices import checkpoint_folder, is_chief


def strategy_of(task_type, task_id, cluster):
    """What is read of a tf.distribute.MultiWorkerMirroredStrategy."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=task_type, task_id=task_id
    )
    return types.SimpleNamespace(cluster_resolver=resolver)


TWO = {"worker": ["localhost:1", "localhost:2"]}


@pytest.mark.parametrize(
    ("task_type", "task_id", "cluster", "chief"),
    [
        ("worker", 0, TWO, True),
        ("worker", 1, TWO, False),
        ("chief", 0, {"chief": ["localhost:3"], **TWO}, True),
        ("worker", 0, {"chief": ["localhost:3"], **TWO}, False),
        ("evaluator", 0, {"evaluator": ["localhost:3"], **TWO}, False),
    ],
)
def test_chief(task_type, task_id, cluster, chief):
    strategy = strategy_of(task_type, task_id, cluster)
    assert is_chief(strategy) is chief
    folder = checkpoint_folder(strategy, "gs://bucket/run")
    assert folder == ("gs://bucket/run" if chief else f"gs://bucket/run/worker_{task_type}_{task_id}")


def test_one_machine_is_its_own_chief():
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0"])):
        assert is_chief(strategy)
        assert checkpoint_folder(strategy, "run") == "run"


def test_other_workers_save_along_and_leave_nothing(tmp_path):
    value = tf.Variable(3.0)
    chief = SafeCheckpoints(tf.train.Checkpoint(x=value), tmp_path, strategy=strategy_of("worker", 0, TWO))
    assert chief.save(5)
    before = sorted(tmp_path.rglob("*"))
    other = SafeCheckpoints(tf.train.Checkpoint(x=tf.Variable(0.0)), tmp_path, strategy=strategy_of("worker", 1, TWO))
    assert other.restore_newest().endswith("ckpt-5")
    assert float(other.checkpoint.x) == 3.0
    assert other.save(9) is None and other.unsaved == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_variables_of_two_replicas_are_saved_once(tmp_path):
    strategy = two_replicas()
    with strategy.scope():
        mirrored = tf.Variable([1.0, 2.0])
    checkpoint = tf.train.Checkpoint(x=mirrored)
    assert [v.shape.as_list() for v in variables_of(checkpoint)] == [[2]]
    checkpoints = SafeCheckpoints(checkpoint, tmp_path, strategy=strategy)
    assert checkpoints.save(1)
    with strategy.scope():
        mirrored.assign([0.0, 0.0])
    checkpoints.restore_newest()
    assert [v.numpy().tolist() for v in mirrored.values] == [[1.0, 2.0]] * 2
