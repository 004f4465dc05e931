"""Which devices and machines a meta-training job runs on: `--strategy`.

    one_device     one GPU, or the CPU
    mirrored       every GPU of this machine
    multi_worker   several machines, named by the environment variable TF_CONFIG; the same program
                   with the same flags runs on each of them

Every worker computes the same updates and holds the same weights. Files that there must be one of
are the chief's; saving a checkpoint is done by all, since it may need every worker. A worker that
is lost ends all the others: started again, together, they go on from the newest checkpoint.
"""

import json
import os

import tensorflow as tf

STRATEGIES = ("mirrored", "multi_worker", "one_device")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Makes the strategy; `multi_worker` must come before any other use of TensorFlow.

    Raises:
      ValueError: unknown name, or a TF_CONFIG that is missing or not as expected.
    """
    if name == "one_device":
        gpu = bool(tf.config.list_logical_devices("GPU"))
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpu else "/cpu:0")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        check_tf_config(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise ValueError(f"strategy: got {name!r}, expected one of {STRATEGIES}")


def check_tf_config(text: str | None) -> None:
    """Raises ValueError where TF_CONFIG does not name a cluster and this process's place in it."""
    example = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
    if not text:
        raise ValueError(f"strategy: multi_worker needs the variable TF_CONFIG, such as {example}")
    try:
        config = json.loads(text)
        kind, index = config["task"]["type"], int(config["task"]["index"])
        count = len(config["cluster"][kind])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"TF_CONFIG: {error!r} in {text!r}; expected {example}") from None
    if kind not in ("chief", "worker") or not 0 <= index < count:
        raise ValueError(f"TF_CONFIG: task is {kind} {index} of {count}; expected a chief or worker, counted from 0")


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together; 1 without `multi_worker`."""
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict() if resolver else {}
    return sum(len(cluster.get(kind, ())) for kind in ("chief", "worker")) or 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: always, unless it is one of several workers.

    The chief is the task of that type or, where the cluster has none, worker 0.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def checkpoint_folder(strategy: tf.distribute.Strategy, folder: str) -> str:
    """Where this worker writes its checkpoints: `folder` for the chief, else a folder of its own
    inside, which is deleted after each save. Any path that tf.io.gfile knows."""
    if is_chief(strategy):
        return folder
    resolver = strategy.cluster_resolver
    return os.path.join(folder, f"worker_{resolver.task_type}_{resolver.task_id}")
