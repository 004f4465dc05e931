"""The names of a network's variables, as TensorFlow's checkpoints have them."""

import tensorflow as tf


def variables_by_key(network) -> dict[str, tf.Variable]:
    """Checkpoint keys of a network's variables, relative to the network.

    Breadth first, the first path wins: the rule by which TensorFlow names variables it can reach
    on several paths.
    """
    view = tf.train.TrackableView(network)
    keys, seen, queue = {}, {id(network)}, [("", network)]
    while queue:
        path, node = queue.pop(0)
        if isinstance(node, tf.Variable):
            keys[path] = node
            continue
        for name, child in view.children(node).items():
            if id(child) not in seen:
                seen.add(id(child))
                queue.append((f"{path}/{name}" if path else name, child))
    return keys
