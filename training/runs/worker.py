"""Which worker writes. Under a multi-worker strategy every worker runs the same program; files that
there must be one of are the chief's. Saving itself is done by all: it may need every worker."""

import os

import tensorflow as tf


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
