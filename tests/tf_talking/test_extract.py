"""`Scripted` detects what the frame's first pixel says, so that every reason can be provoked."""

import dataclasses

import numpy as np
import PIL.Image
import pytest

from tf_talking.data import records, video
from tf_talking.data.extract import ExtractSettings, extract
from tf_talking.data.inputs import InputItem
from tf_talking.landmarks.detector import Detection, LandmarkDetector

FACE, NOBODY, TWO, SMALL, OUTSIDE, CRASH = range(0, 180, 30)
SETTINGS = ExtractSettings(image_size=32, min_frames=2, min_face=40)


class Scripted(LandmarkDetector):
    name, scheme = "mediapipe", "ibug68"

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1

    def detect(self, frames):
        return [self._detect(int(frame[0, 0, 0])) for frame in frames]

    def _detect(self, code):
        if code == CRASH:
            raise RuntimeError("graph failed")
        if code in (NOBODY, TWO):
            return Detection(None, "no face" if code == NOBODY else "several faces (2)")
        size = 20 if code == SMALL else 60
        x0 = -30 if code == OUTSIDE else 20
        steps = np.linspace(0, size, 68)
        return Detection(np.stack([x0 + steps, 20 + steps], -1).astype(np.float32))


def save(folder, codes, size=(100, 100)) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    files = []
    for k, code in enumerate(codes):
        files.append(str(folder / f"{k}.png"))
        frame = np.full((size[1], size[0], 3), code, np.uint8)
        PIL.Image.fromarray(frame).save(files[-1])
    return tuple(files)


def run(files, kind="frames", settings=SETTINGS):
    item = InputItem("in/x", "ann", kind, "in/x", files)
    return extract(item, Scripted(), settings)


def test_usable_frames_become_a_record_and_others_are_counted(tmp_path):
    codes = [FACE, NOBODY, FACE, TWO, SMALL, OUTSIDE, NOBODY, FACE]
    record = run(save(tmp_path, codes))
    assert isinstance(record, records.VideoRecord)
    assert (record.video_id, record.identity, record.source) == ("in/x", "ann", "in/x")
    assert (record.detector, record.scheme, record.image_size) == ("mediapipe", "ibug68", 32)
    assert record.num_frames == 3 and record.landmarks.shape == (3, 68, 2)
    assert record.rejected_frames == {
        "no face": 2,
        "several faces (2)": 1,
        "face too small: under 40 pixels": 1,
        "landmarks outside the frame": 1,
    }
    assert records.decode_jpeg(record.frames[0]).shape == (32, 32, 3)
    # The face spans half of the crop.
    assert np.ptp(record.landmarks[0], axis=0) == pytest.approx([16, 16], abs=0.1)


@pytest.mark.parametrize(
    "codes, reason",
    [
        ([NOBODY], "no face"),
        ([NOBODY, NOBODY, TWO], "no face (2 of 3 frames)"),
        ([FACE, TWO, TWO], "too few usable frames: 1 of 3, expected at least 2; most often: "
         "several faces (2)"),
        ([FACE], "too few frames: 1, expected at least 2"),
        ([FACE, FACE, CRASH], "RuntimeError: graph failed"),
    ],
)  # fmt: skip
def test_rejections_say_why(tmp_path, codes, reason):
    entry = run(save(tmp_path, codes))
    assert (entry.status, entry.reason) == ("rejected", reason)


def test_step_and_limit(tmp_path):
    files = save(tmp_path, [FACE, NOBODY] * 5)
    assert (
        run(files, settings=dataclasses.replace(SETTINGS, frame_step=2, min_frames=5)).num_frames
        == 5
    )
    limited = run(files, settings=dataclasses.replace(SETTINGS, max_frames=3))
    assert limited.num_frames == 2 and limited.rejected_frames == {"no face": 1}


def test_photos_need_one_and_survive_an_unreadable_one(tmp_path):
    files = save(tmp_path, [FACE])
    (tmp_path / "bad.png").write_bytes(b"text")
    record = run((*files, str(tmp_path / "bad.png")), "photos")
    assert record.num_frames == 1
    ((reason, count),) = record.rejected_frames.items()
    assert reason.startswith("not an image") and count == 1 and str(tmp_path) not in reason.split()
    assert run((str(tmp_path / "bad.png"),), "photos").reason.startswith("not an image")
    small = save(tmp_path / "small", [FACE], (39, 50))
    assert run(small, "photos").reason == "picture too small: 39x50 pixels, a face needs 40"


def test_videos_are_read_and_their_corruption_is_the_reason(tmp_path):
    path = tmp_path / "x.mp4"
    with video.VideoWriter(path, 25, 100) as writer:
        for _ in range(5):
            writer.write(np.full((100, 100, 3), FACE, np.uint8))
    assert run((str(path),), "video").num_frames == 5
    path.write_bytes(b"")
    assert run((str(path),), "video").reason == "empty file (0 bytes)"


def test_progress_is_reported_and_the_detector_starts_anew(tmp_path):
    detector, calls = Scripted(), []
    item = InputItem("in/x", "ann", "frames", "in/x", save(tmp_path, [FACE, NOBODY]))
    extract(item, detector, SETTINGS, lambda: calls.append(1))
    assert (detector.resets, len(calls)) == (1, 2)
