"""The demo on two real people, end to end, with an untrained model of small networks."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import get_preset
from tf_talking.media.video_reader import read_frames
from tf_talking.networks.bundle import write_bundle
from tf_talking.networks.meta_checkpoint import load_meta_learned
from tf_talking.people.card import PersonCard
from training.meta.step import MetaTrainer

SIZE = 128


@pytest.fixture(scope="module")
def demo(tmp_path_factory, run_command):
    """(its folder, what it printed)."""
    folder = tmp_path_factory.mktemp("people")
    real = get_preset("real128")
    model = dataclasses.replace(real.model, min_channels=4, max_channels=8, num_residual_blocks=1)
    losses = dataclasses.replace(real.losses, content_vgg19=0.0, content_face=0.0, content_identity=0.0)
    trainer = MetaTrainer(dataclasses.replace(real, model=model, losses=losses), 2, dict, tf.distribute.get_strategy())
    prefix = trainer.checkpoint.write(str(folder / "ckpt-0"))
    bundle = folder / "small.tft"
    write_bundle(bundle, load_meta_learned(prefix, with_discriminator=True))
    done = run_command("serving.demo", "--checkpoint", bundle, "--output", folder / "out", "--epochs=1")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out", done.stdout


@pytest.mark.parametrize("person", ["astronaut", "performer"])
def test_both_people_are_driven_by_the_performer(demo, person):
    frames = list(read_frames(demo[0] / f"{person}.mp4"))
    assert len(frames) == 117
    # The track of the astronaut brings no pictures: source, landmarks, result.
    panels = {"astronaut": 3, "performer": 4}[person]
    assert frames[0].shape == (SIZE, panels * SIZE, 3)
    source, *_, drawn, _ = np.split(np.stack(frames[::20]).astype(int), panels, axis=2)
    assert np.abs(source[0] - source[-1]).mean() < 3  # stands still
    assert np.abs(drawn[0] - drawn[-1]).mean() > 2 and drawn.mean() < 60  # lines on black, moving
    card = PersonCard.load(demo[0] / f"serving/people/{person}.npz")
    assert card.num_frames == {"astronaut": 1, "performer": 8}[person]
    assert (card.scheme, card.model) == ("ibug68_gaze", f"person_{person}")


def test_the_performer_is_measured_on_frames_that_nothing_was_made_from(demo):
    folder, printed = demo
    errors = json.loads((folder / "results.json").read_text())
    assert list(errors) == ["nearest_source", "feed_forward", "fine_tuned"]
    # Untrained networks draw noise; the nearest frame of the same person is a face.
    assert errors["nearest_source"]["l1"] < 0.12 < errors["feed_forward"]["l1"]
    assert "Errors on 117 hold-out frames of another video of the person" in printed
    sheet = cv2.imread(str(folder / "contact_sheet.png"))
    assert sheet.shape == (5 * SIZE * 2, 8 * SIZE * 2, 3)
