"""Random networks of the benchmarks."""

import dataclasses

import numpy as np

from benchmarks.measuring.networks import random_generator, random_psi, unfold, unfolded
from tf_talking.config import get_preset

TINY = get_preset("tiny")
SMALL = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, image_size=32, min_channels=8, max_channels=16))


def folds(network):
    return {layer.fold for layer in network.submodules if hasattr(layer, "fold")}


def test_unfolded_for_a_while_and_for_good():
    generator = random_generator(SMALL)
    with unfolded(generator):
        assert folds(generator) == {False}
    assert folds(generator) == {True}
    unfold(generator)
    assert folds(generator) == {False}


def test_psi_of_people_differ_and_are_the_same_each_time():
    psi = random_psi(SMALL, 3)
    assert psi.shape == (3, SMALL.model.adain_size) and psi.dtype == np.float32
    assert not np.allclose(psi[0], psi[1]) and np.array_equal(psi, random_psi(SMALL, 3))
