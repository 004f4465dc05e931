"""The fine-tuning program on photos and a clip, and what bad input gets."""

import dataclasses
import json
import shutil

import cv2
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tests.commands import run_here
from tests.faces import film, painted, portrait
from tf_talking.cpu import multiplies_bfloat16
from tf_talking.networks.bundle import write_bundle
from tf_talking.networks.meta_checkpoint import load_meta_learned
from tf_talking.people.card import PersonCard
from tf_talking.spread import spread
from training.meta.step import MetaTrainer
from training.person.held_out import hold_out
from training.person.sources import from_photos, from_video


@pytest.fixture(scope="module")
def config(pico_config):
    landmarks = dataclasses.replace(pico_config.landmarks, detector="mediapipe")
    return dataclasses.replace(pico_config, landmarks=landmarks)


@pytest.fixture(scope="module")
def checkpoint(config, tmp_path_factory):
    """A checkpoint as meta_train writes it, untrained: these tests are about the program."""
    trainer = MetaTrainer(config, 4, dict, tf.distribute.get_strategy())
    return trainer.checkpoint.write(str(tmp_path_factory.mktemp("run") / "ckpt-0"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A portrait, a painted one and a landscape without a face."""
    folder = tmp_path_factory.mktemp("photos")
    for name, picture in (("p001.jpg", portrait()), ("p002.jpg", painted(2, 1)[0])):
        PIL.Image.fromarray(picture).save(folder / name)
    gradient = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3).astype(np.uint8)
    cv2.imwrite(str(folder / "landscape.jpg"), gradient)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return film(tmp_path_factory.mktemp("clip") / "ann.mp4", painted(1))


def finetune(checkpoint, tmp_path, *more):
    flags = [f"--checkpoint={checkpoint}", "--person=ann"]
    flags += [f"--serving={tmp_path / 'serving'}", f"--output={tmp_path / 'out'}"]
    return run_here("training.finetune", *flags, *more)


def test_feed_forward_person_from_photos(checkpoint, photos, tmp_path, config):
    result = finetune(checkpoint, tmp_path, f"--photos={photos}", "--epochs=0")
    assert result.returncode == 0, result.stderr
    assert "landscape.jpg: no face" in result.stderr
    card = PersonCard.load(tmp_path / "serving/people/ann.npz")
    assert (card.model, card.num_frames, card.detector) == ("generator", 2, "mediapipe")
    assert card.adain_params.shape == (config.model.adain_size,)
    assert card.extra["tune"] == "none"
    assert not (tmp_path / "serving/person_ann").exists()


def test_psi_only_person_from_a_clip(checkpoint, clip, tmp_path):
    result = finetune(checkpoint, tmp_path, f"--video={clip}", "--tune=psi", "--epochs=1", "--num_frames=3")
    assert result.returncode == 0, result.stderr
    card = PersonCard.load(tmp_path / "serving/people/ann.npz")
    assert (card.model, card.num_frames, card.extra["tune"]) == ("generator", 3, "psi")
    assert [p.name for p in (tmp_path / "serving").iterdir()] == ["people"]
    assert (tmp_path / "out/previews/epoch_0001.png").is_file()


def test_fine_tuned_person_from_a_clip_stopped_at_the_knee(checkpoint, config, clip, tmp_path):
    """In bfloat16 where it pays, with the first photo and one more; the third is watched."""
    result = finetune(
        checkpoint,
        tmp_path,
        f"--video={clip}",
        "--epochs=4",
        "--num_frames=3",
        "--stop_at_knee",
        "--landmark_detector=mediapipe",
        "--mixed_precision=auto",
    )
    assert result.returncode == 0, result.stderr
    taken = "bfloat16" if multiplies_bfloat16() else "float32"
    assert f"mixed precision: {taken}, this CPU" in result.stderr
    card = PersonCard.load(tmp_path / "serving/people/ann.npz")
    assert (card.model, card.num_frames, card.extra["tune"]) == ("person_ann", 3, "full")
    assert (tmp_path / "serving/person_ann/1/saved_model.pb").is_file()
    assert (tmp_path / "out/previews/epoch_0004.png").is_file()
    assert "looked for on 1 frames, 2 are trained on" in result.stderr
    rows = [json.loads(line) for line in (tmp_path / "out/knee.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 4]
    names = ["epoch", "face_l1", "ssim", "l1", "psnr", "landmark_error"]
    assert all(list(row) == names for row in rows)
    assert not (tmp_path / "out/backup").exists()
    # What is watched is in no part of what is judged by it.
    trained, _ = hold_out(from_video(config, str(clip), 3))
    learned = load_meta_learned(checkpoint)
    expected = learned.embed_person(trained.frames, trained.landmarks)
    np.testing.assert_allclose(card.embedding, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_frames_are_spread_over_the_clip(config, clip):
    person = from_video(config, str(clip), 4)
    size = config.model.image_size
    assert person.frames.shape == (4, size, size, 3)
    assert (person.landmarks > 0).all() and (person.landmarks < size).all()
    np.testing.assert_array_equal(spread(9, 3), [0, 4, 8])
    np.testing.assert_array_equal(spread(2, 5), [0, 1])


def test_folder_without_a_face_is_refused(config, photos, tmp_path):
    shutil.copy(photos / "landscape.jpg", tmp_path)
    with pytest.raises(ValueError, match="landscape.jpg: no face"):
        from_photos(config, str(tmp_path), 8)
    with pytest.raises(ValueError, match="no photos here"):
        (tmp_path / "empty").mkdir()
        from_photos(config, str(tmp_path / "empty"), 8)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected one"),
        (["--photos=/nowhere", "--video=/nowhere.mp4"], "expected one"),
        (["--dataset=/nowhere"], "expected video_id"),
        (["--video=/nowhere.mp4"], "/nowhere.mp4: no such file"),
        (["--video=/nowhere.mp4", "--recogniser=x.keras"], "recogniser: is used with"),
        (["--video=/nowhere.mp4", "--landmark_detector=mediapipe"], "landmark_detector: is used"),
    ],
)
def test_bad_flags_end_with_a_message(checkpoint, tmp_path, flags, message):
    result = finetune(checkpoint, tmp_path, *flags)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "serving").exists()


def test_a_bundle_has_no_folder_to_put_things_in(checkpoint, photos, tmp_path):
    bundle = tmp_path / "pico.tft"
    write_bundle(bundle, load_meta_learned(checkpoint, with_discriminator=True))
    arguments = [f"--checkpoint={bundle}", "--person=ann", f"--photos={photos}", "--epochs=0"]
    done = run_here("training.finetune", *arguments)
    assert done.returncode == 2 and "--serving is missing" in done.stderr and "pico.tft is a bundle" in done.stderr
    arguments += [f"--serving={tmp_path / 'serving'}", f"--output={tmp_path / 'out'}"]
    done = run_here("training.finetune", *arguments)
    assert done.returncode == 0, done.stderr
    assert PersonCard.load(tmp_path / "serving/people/ann.npz").num_frames == 2
