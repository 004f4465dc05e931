"""The held-out curve: which frames, what it measures, and that the best checkpoint stays."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import decode_frames
from tf_talking.metrics import registry
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from training.meta.held_out import HeldOutCurve, HeldOutPeople


@pytest.fixture(scope="module")
def learned(nano_config):
    return MetaLearned(nano_config, "", 0, Embedder(nano_config.model), Generator(nano_config.model))


@pytest.fixture(scope="module")
def folder(people):
    return DatasetFolder.open(people)


@pytest.fixture(scope="module")
def chosen(folder):
    known = [entry.identity for entry in folder.accepted]
    return HeldOutPeople.choose(folder, known[:2], count=2, shots=2, targets=2)


def test_targets_come_after_the_few_shot_frames(folder, chosen):
    assert len(chosen.people) == 2
    record = folder.read_video(folder.accepted[0].video_id)
    frames, landmarks, real, driving = chosen.people[0]
    early = record.num_frames * 2 // 3
    np.testing.assert_array_equal(frames, decode_frames(record, [0, early - 1]))
    np.testing.assert_array_equal(driving, record.landmarks[[early, record.num_frames - 1]])
    np.testing.assert_array_equal(real, decode_frames(record, [early, record.num_frames - 1]))
    assert landmarks.shape == (2, 68, 2)


def test_measures_what_the_networks_draw_and_keeps_the_best(learned, chosen, tmp_path):
    marker = tf.Variable(1.0)
    curve = HeldOutCurve(learned, chosen, ["l1"], {}, tf.train.Checkpoint(marker=marker), tmp_path / "best")
    expected = []
    for frames, landmarks, real, driving in chosen.people:
        psi = learned.project_person(learned.embed_person(frames, landmarks))
        fake = learned.draw(tf.constant(driving), tf.constant(psi)).numpy()
        expected.append(registry.compute("l1", real, fake))
    first = curve.look(10)
    assert first["held_out/l1"] == pytest.approx(np.mean(expected), rel=1e-3)
    assert first["held_out/error"] == pytest.approx(first["held_out/l1"])
    facts = tmp_path / "best/best.json"
    assert json.loads(facts.read_text())["step"] == 10

    marker.assign(2.0)
    curve.look(20)  # no better: the checkpoint of step 10 stays
    assert json.loads(facts.read_text())["step"] == 10
    facts.write_text(json.dumps({"step": 10, "error": 9.0}))
    curve.look(30)
    assert json.loads(facts.read_text())["step"] == 30
    kept = tf.Variable(0.0)
    tf.train.Checkpoint(marker=kept).read(str(tmp_path / "best/ckpt")).assert_consumed()
    assert kept.numpy() == 2.0


def test_people_without_frames_enough_are_an_error(folder):
    with pytest.raises(ValueError, match="held_out_every: none of the people kept out has a video"):
        HeldOutPeople.choose(folder, [folder.accepted[0].identity], 1, targets=100)
