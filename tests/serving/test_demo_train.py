"""Every program of the whole path, end to end at `tiny` size: the demo, with small numbers."""

import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.media import jpeg
from tf_talking.media.video_reader import read_frames
from tf_talking.people.card import PersonCard

FRAMES = 8


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "serving.demo_train",
            f"--output={folder}",
            "--identities=6",
            "--steps=4",
            "--epochs=2",
            f"--driving_frames={FRAMES}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0
    return folder, result.stdout


def test_video_shows_source_driving_landmarks_and_result(demo):
    frames = list(read_frames(demo[0] / "talking_head.mp4"))
    assert len(frames) == FRAMES
    assert frames[0].shape == (64, 4 * 64, 3)
    panels = np.split(np.stack(frames).astype(int), 4, axis=2)
    assert np.abs(panels[0][0] - panels[0][-1]).mean() < 3  # the source stands still
    for moving in panels[1:3]:
        assert np.abs(moving[0] - moving[-1]).mean() > 3
    assert panels[2].mean() < 60  # landmark images are mostly black
    driving = DatasetFolder.open(demo[0] / "driving")
    landmarks = driving.read_video(driving.accepted[0].video_id).landmarks
    card = PersonCard.load(demo[0] / "serving/people/fine_tuned.npz")
    model = tf.saved_model.load(str(demo[0] / "serving/person_fine_tuned/1"))
    psi = tf.constant(np.repeat(card.adain_params[np.newaxis], FRAMES, axis=0))
    answer = model.signatures["animate"](landmarks=tf.constant(landmarks), adain_params=psi)["frames_jpeg"]
    drawn = np.stack([jpeg.decode(frame) for frame in answer.numpy()]).astype(int)
    # The fourth panel is what the model draws, less what the video's compression takes.
    *others, result = [np.abs(panel - drawn).mean() for panel in panels]
    assert result < 15 < min(others) / 3


def test_contact_sheet_has_five_rows(demo):
    sheet = cv2.imread(str(demo[0] / "contact_sheet.png"))
    assert sheet.shape == (5 * 64 * 2, 8 * 64 * 2, 3)


def test_table_names_the_three_methods(demo):
    errors = json.loads((demo[0] / "results.json").read_text())
    assert list(errors) == ["nearest_source", "feed_forward", "fine_tuned"]
    for method, values in errors.items():
        assert 0 < values["l1"] < 1 and -1 <= values["ssim"] <= 1
        printed = re.search(rf"^{method.replace('_', ' ')} +(\S+) +(\S+)$", demo[1], re.M)
        assert [float(v) for v in printed.groups()] == pytest.approx([values["l1"], values["ssim"]], abs=1e-4)


def test_serving_folder_holds_shared_and_personal_models(demo):
    serving = demo[0] / "serving"
    for model in ("embedder", "generator", "person_fine_tuned"):
        assert (serving / model / "1/saved_model.pb").is_file()
        assert f'name: "{model}"' in (serving / "models.config").read_text()
    feed_forward = PersonCard.load(serving / "people/feed_forward.npz")
    fine_tuned = PersonCard.load(serving / "people/fine_tuned.npz")
    assert (feed_forward.model, fine_tuned.model) == ("generator", "person_fine_tuned")
    assert feed_forward.num_frames == fine_tuned.num_frames == 8
    np.testing.assert_array_equal(feed_forward.embedding, fine_tuned.embedding)
    assert np.abs(feed_forward.adain_params - fine_tuned.adain_params).max() > 0
    assert not (serving / "person_feed_forward").exists()


def test_finetune_wrote_previews_and_logs(demo):
    people = demo[0] / "run/people/fine_tuned"
    previews = sorted(p.name for p in (people / "previews").iterdir())
    assert previews == ["epoch_0000.png", "epoch_0002.png"]
    assert len((people / "log.csv").read_text().splitlines()) == 3
    assert any((people / "tensorboard").rglob("events*"))
