"""A small config and episodes for the tests of training: real code, few channels."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.config import to_json
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.procedural.folder import list_jobs, make_dataset, open_writer


@pytest.fixture(scope="module")
def learned(nano_config):
    """Untrained networks with noise on their weights, so that frames depend on ê and ψ."""
    keras.utils.set_random_seed(3)
    model = nano_config.model
    networks = Embedder(model), Generator(model), Discriminator(model, num_videos=4)
    for network in networks:
        for weight in network.trainable_weights:
            weight.assign_add(0.02 * tf.random.stateless_normal(weight.shape, seed=[1, 2]))
    return MetaLearned(nano_config, "run/ckpt-1", 1, *networks)


@pytest.fixture(scope="session")
def nano_batch(nano_config):
    """One batch of random episodes of five videos; two episodes share a video."""
    generator = np.random.default_rng(0)
    size, k_shot = nano_config.model.image_size, nano_config.train.k_shot
    batch = nano_config.train.batch_size

    def frames(*shape):
        return generator.integers(0, 256, (*shape, size, size, 3)).astype(np.uint8)

    def landmarks(*shape):
        return generator.uniform(2, size - 2, (*shape, 68, 2)).astype(np.float32)

    arrays = {
        "source_frames": frames(batch, k_shot),
        "source_landmarks": landmarks(batch, k_shot),
        "target_frame": frames(batch),
        "target_landmarks": landmarks(batch),
        "video_index": np.array([0, 3, 3, 4][:batch], np.int32),
    }
    return {name: tf.constant(value) for name, value in arrays.items()}


@pytest.fixture(scope="session")
def people(tmp_path_factory, nano_config):
    """A dataset folder: five procedural people, one video of six frames each."""
    folder, size = tmp_path_factory.mktemp("data") / "people", nano_config.model.image_size
    make_dataset(open_writer(folder, size), list_jobs(range(5), 1, 6, size, seed=0), workers=1)
    return folder


@pytest.fixture(scope="session")
def nano_config_file(tmp_path_factory, nano_config):
    """`nano_config` as a file for --config."""
    path = tmp_path_factory.mktemp("config") / "nano.json"
    path.write_text(to_json(nano_config))
    return path


@pytest.fixture(scope="session")
def pico_config(nano_config):
    """For tests of programs, which compile their step at every start: the fewest blocks, no
    attention, one update of D. On `people` as `nano_config`."""
    model = dataclasses.replace(nano_config.model, embedder_bottleneck=8, generator_bottleneck=16, attention=False)
    train = dataclasses.replace(nano_config.train, discriminator_steps=1)
    return dataclasses.replace(nano_config, name="pico", model=model, train=train)


@pytest.fixture(scope="session")
def pico_config_file(tmp_path_factory, pico_config):
    """`pico_config` as a file for --config."""
    path = tmp_path_factory.mktemp("config") / "pico.json"
    path.write_text(to_json(pico_config))
    return path


def read_weights(prefix) -> dict:
    """Every variable of a checkpoint, name → value, but the count of saves."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = reader.get_variable_to_shape_map()
    return {
        n: reader.get_tensor(n) for n in names if n.endswith("VARIABLE_VALUE") and not n.startswith("save_counter/")
    }


@pytest.fixture(scope="session")
def assert_same_weights():
    """(checkpoint prefix, other prefix, steps): fails where a variable differs.

    Without `steps` (`bounds.assert_same_training`) all are equal bit by bit: the same program did
    the same on this machine.
    """

    def check(ours, theirs, steps=None):
        ours, theirs = read_weights(ours), read_weights(theirs)
        if steps is not None:
            return bounds.assert_same_training(ours, theirs, steps)
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)

    return check
