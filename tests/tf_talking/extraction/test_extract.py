"""`Scripted` detects what the frame's first pixel says, so that every reason can be provoked."""

import dataclasses

import numpy as np
import PIL.Image
import pytest

from tests.scripted_detector import ScriptedDetector
from tf_talking.dataset import records
from tf_talking.extraction.extract import ExtractSettings, extract
from tf_talking.extraction.item import InputItem
from tf_talking.landmarks.detector import DetectorFailure
from tf_talking.media import jpeg, video_writer

FACE, NOBODY, TWO, SMALL, OUTSIDE, CRASH = range(0, 180, 30)
SETTINGS = ExtractSettings(image_size=32, min_frames=2, min_face=40)


class Scripted(ScriptedDetector):
    """Finds what a frame's grey level stands for; remembers what it was asked."""

    def __init__(self):
        super().__init__(self._find_code)
        self.resets, self.batches, self.boxes = 0, [], []

    def reset(self):
        self.resets += 1

    def detect(self, frames, boxes=None):
        assert len({frame.shape for frame in frames}) == 1
        self.batches.append(len(frames))
        self.boxes += [] if boxes is None else boxes
        return super().detect(frames)

    def _find_code(self, frame):
        code = self._code(int(frame[0, 0, 0]))
        if code == CRASH:
            raise RuntimeError("graph failed")
        if code in (NOBODY, TWO):
            return "no face" if code == NOBODY else "several faces (2)"
        size = 20 if code == SMALL else 60
        x0 = -30 if code == OUTSIDE else 20
        steps = np.linspace(0, size, 68)
        return np.stack([x0 + steps, 20 + steps], -1).astype(np.float32)

    def _code(self, level):
        return level


def save(folder, codes, size=(100, 100)) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    files = []
    for k, code in enumerate(codes):
        files.append(str(folder / f"{k}.png"))
        frame = np.full((size[1], size[0], 3), code, np.uint8)
        PIL.Image.fromarray(frame).save(files[-1])
    return tuple(files)


def run(files, kind="frames", settings=SETTINGS, detector=None, boxes=()):
    item = InputItem("in/x", "ann", kind, "in/x", tuple(map(str, files)), boxes)
    return extract(item, detector or Scripted(), settings)


def film(path, codes, size=100):
    """A video whose frames are grey levels that `Scripted` understands."""
    with video_writer.VideoWriter(path) as writer:
        for code in codes:
            writer.write(np.full((size, size, 3), code, np.uint8))
    return path


class Exact(Scripted):
    """Compression changes grey levels a little."""

    def _code(self, level):
        return round(level / 30) * 30


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
    assert jpeg.decode(record.frames[0]).shape == (32, 32, 3)
    # The face spans half of the crop.
    assert np.ptp(record.landmarks[0], axis=0) == pytest.approx([16, 16], abs=0.1)


@pytest.mark.parametrize(
    "codes, reason",
    [
        ([NOBODY], "no face"),
        ([NOBODY, NOBODY, TWO], "no face (2 of 3 frames)"),
        ([FACE, TWO, TWO], "too few usable frames: 1 of 3, expected at least 2; most often: several faces (2)"),
        ([FACE], "too few frames: 1, expected at least 2"),
        ([FACE, FACE, CRASH], "RuntimeError: graph failed"),
    ],
)
def test_rejections_say_why(tmp_path, codes, reason):
    entry = run(save(tmp_path, codes))
    assert (entry.status, entry.reason) == ("rejected", reason)


def test_step_and_limit(tmp_path):
    files = save(tmp_path, [FACE, NOBODY] * 5)
    assert run(files, settings=dataclasses.replace(SETTINGS, frame_step=2, min_frames=5)).num_frames == 5
    limited = run(files, settings=dataclasses.replace(SETTINGS, max_frames=3))
    assert limited.num_frames == 2 and limited.rejected_frames == {"no face": 1}


def assert_frames_read(tmp_path, settings, places):
    """Of a video of 22 pictures, 25 a second, whose brightness tells which they are."""
    seen = []

    class Seeing(Scripted):
        def _code(self, level):
            seen.append(level)
            return FACE

    file = film(tmp_path / "ramp.mp4", range(10, 230, 10))
    run((str(file),), "video", dataclasses.replace(SETTINGS, **settings), Seeing())
    np.testing.assert_allclose(seen, [10 * number + 10 for number in places], atol=4)


@pytest.mark.parametrize("step, places", [(1, [0, 4, 8, 13, 17, 21]), (4, [0, 4, 8, 12, 16, 20])])
def test_limited_frames_are_spread_over_a_video(tmp_path, step, places):
    assert_frames_read(tmp_path, dict(max_frames=6, frame_step=step), places)


@pytest.mark.parametrize(
    "settings, places",
    [
        (dict(frames_per_second=5.0), [0, 5, 10, 15, 20]),
        (dict(frames_per_second=5.0, max_frames=3), [0, 10, 20]),
        (dict(frames_per_second=10.0), [0, 3, 5, 8, 10, 13, 15, 18, 20]),  # 2.5 pictures each
        (dict(frames_per_second=5.0, frame_step=2), [0, 6, 10, 16, 20]),
        (dict(frames_per_second=60.0), list(range(22))),
    ],
)
def test_frames_a_second_go_by_their_times(tmp_path, settings, places):
    assert_frames_read(tmp_path, settings, places)


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


def test_photos_are_searched_for_small_faces_and_frames_are_not(tmp_path):
    class Nearsighted(Scripted):
        def _find_code(self, frame):
            return super()._find_code(frame) if max(frame.shape) <= 500 else "no face"

    files = save(tmp_path, [FACE], (1000, 1000))
    # This detector finds a face wherever it looks closely: in each of 3 x 3 tiles.
    assert run(files, "photos", detector=Nearsighted()).reason == "several faces (9)"
    assert run(files, "frames", detector=Nearsighted()).reason == "no face"


def test_videos_are_read_and_their_corruption_is_the_reason(tmp_path):
    path = tmp_path / "x.mp4"
    with video_writer.VideoWriter(path) as writer:
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


def test_clips_of_a_video_become_one_record(tmp_path):
    files = [film(tmp_path / f"{k}.mp4", [FACE] * 4) for k in range(3)]
    files.insert(1, film(tmp_path / "nobody.mp4", [NOBODY] * 5))
    files.append(tmp_path / "text.mp4")
    files[-1].write_text("not a video " * 50)
    detector = Exact()
    record = run(files, "clips", detector=detector)
    assert record.num_frames == 12 and detector.resets == 5
    assert record.rejected_frames == {"no face": 5}
    assert record.rejected_clips.keys() == {"nobody.mp4", "text.mp4"}
    assert record.rejected_clips["nobody.mp4"] == "no face (5 of 5 frames)"
    assert record.rejected_clips["text.mp4"].startswith("not a video")


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_what_is_whole_of_a_damaged_clip_is_used_and_the_damage_is_said(tmp_path, damage):
    good = film(tmp_path / "good.mp4", [FACE] * 4)
    noise = np.random.default_rng(0).integers(0, 12, (30, 100, 100, 3)).astype(np.uint8)
    with video_writer.VideoWriter(tmp_path / "bad.mp4") as writer:
        for frame in noise:
            writer.write(frame)
    data = bytearray((tmp_path / "bad.mp4").read_bytes())
    middle = len(data) // 2
    if damage == "cut":
        data = data[:middle]
    else:  # a decoder goes on here and guesses
        for place in range(middle, middle + 200, 20):
            data[place] ^= 0x55
    (tmp_path / "bad.mp4").write_bytes(data)
    record = run([good, tmp_path / "bad.mp4"], "clips", detector=Exact())
    assert record.rejected_clips == {}
    reasons = {reason.partition(" after")[0] for reason in record.rejected_frames}
    if damage == "cut":  # the index went first
        assert 4 + 10 <= record.num_frames < 4 + 25
    else:
        assert 4 <= record.num_frames < 4 + 30
    assert reasons & {"broke off", "damaged data"}


def test_without_a_usable_clip_the_video_is_rejected(tmp_path):
    files = [film(tmp_path / f"{k}.mp4", [NOBODY] * 5) for k in range(2)]
    (tmp_path / "empty.mp4").touch()
    entry = run([*files, tmp_path / "empty.mp4"], "clips", detector=Exact())
    assert entry.reason == "none of 3 clips is usable; most often: no face (5 of 5 frames)"
    assert entry.rejected_clips["empty.mp4"] == "empty file (0 bytes)"
    assert len(entry.rejected_clips) == 3
    few = [film(tmp_path / "few.mp4", [FACE]), *files]
    entry = run(few, "clips", detector=Exact())
    assert entry.reason.startswith("too few usable frames: 1 of 11, expected at least 2")
    assert len(entry.rejected_clips) == 2


def test_limit_is_shared_by_the_clips(tmp_path):
    lengths = [20, 2, 20, 20]
    files = [film(tmp_path / f"{k}.mp4", [FACE] * n) for k, n in enumerate(lengths)]

    def frames_of_clips(limit):
        seen = []

        class Counting(Exact):
            def reset(self):
                super().reset()
                seen.append(len(self.batches))

        detector = Counting()
        settings = dataclasses.replace(SETTINGS, max_frames=limit)
        record = run(files, "clips", settings, detector)
        return record.num_frames, sorted(np.diff([*seen, len(detector.batches)]))

    assert frames_of_clips(14) == (14, [2, 4, 4, 4])
    assert frames_of_clips(4) == (4, [1, 1, 1, 1])
    assert frames_of_clips(0) == (62, [2, 20, 20, 20])


def test_frames_are_detected_in_batches_of_one_size(tmp_path):
    files = save(tmp_path, [FACE, NOBODY, FACE, TWO, FACE, FACE, OUTSIDE])
    settings = dataclasses.replace(SETTINGS, detection_batch=3)
    detector = Scripted()
    batched, single = run(files, settings=settings, detector=detector), run(files)
    assert detector.batches == [3, 3, 1]
    assert batched.frames == single.frames and batched.rejected_frames == single.rejected_frames
    np.testing.assert_array_equal(batched.landmarks, single.landmarks)
    other = save(tmp_path / "other", [FACE, FACE], (120, 100))
    detector = Scripted()
    assert run((*files, *other), "photos", settings, detector).num_frames == 6
    assert detector.batches == [3, 3, 1, 2]


BOXES = "FRAME X Y W H\n" + "".join(f"{n} 0.2 0.2 0.6 0.{n}\n" for n in range(3, 6))


def test_boxes_choose_frames_and_go_to_the_detector(tmp_path):
    clip = film(tmp_path / "a.mp4", [FACE] * 12)
    (tmp_path / "a.txt").write_text(BOXES)
    (tmp_path / "bad.txt").write_text(BOXES + "9 0.2\n")
    own = (str(tmp_path / "a.txt"),)
    detector = Exact()
    record = run([clip], "clips", detector=detector, boxes=(own,))
    assert record.num_frames == 3
    assert [round(float(box[3])) for box in detector.boxes] == [30, 40, 50]
    # Of a whole video, the frames at those times.
    codes = [NOBODY] * 12
    codes[3:6] = [FACE] * 3
    whole = film(tmp_path / "whole.mp4", codes)
    record = run([whole], "video", detector=Exact(), boxes=(own,))
    assert record.num_frames == 3 and record.rejected_frames == {}
    entry = run([clip], "clips", detector=Exact(), boxes=((str(tmp_path / "bad.txt"),),))
    assert "bad.txt, line 5: got '9 0.2'" in entry.rejected_clips["a.mp4"]


def test_a_failing_detector_is_no_fault_of_the_clip(tmp_path):
    class Full(Scripted):
        def detect(self, frames, boxes=None):
            raise DetectorFailure("no memory")

    with pytest.raises(DetectorFailure, match="no memory"):
        run(save(tmp_path, [FACE]), detector=Full())
