"""Sources, and what is refused of them."""

import numpy as np
import pytest

from serving.drive.driving import open_camera, open_driving
from tests.serving.client_helpers import POINTS, SIZE, make_card, track
from tests.serving.drive.clips import write_clip
from tf_talking.media import jpeg


def test_dataset_folder_drives_by_video_id(tmp_path):
    from tf_talking.dataset import records
    from tf_talking.dataset.writer import DatasetWriter

    data = jpeg.encode(np.full((SIZE, SIZE, 3), 77, np.uint8))
    record = records.VideoRecord(
        video_id="v1",
        identity="Bea",
        frames=[data] * 4,
        landmarks=track(4),
        image_size=SIZE,
        detector="mediapipe",
        scheme="ibug68",
        source="bea.mp4",
    )
    writer = DatasetWriter(tmp_path, SIZE, "mediapipe", "ibug68", POINTS)
    writer.write_shard([record])
    items = list(open_driving(tmp_path, make_card(), video_id="v1").frames())
    np.testing.assert_array_equal(np.stack([item.landmarks for item in items]), track(4))
    assert abs(int(items[0].frame.mean()) - 77) <= 1
    with pytest.raises(ValueError, match=r"got video_id None, expected one of its 1 .*v1"):
        open_driving(tmp_path, make_card())
    with pytest.raises(ValueError, match="its image_size is 64, but 128"):
        open_driving(tmp_path, make_card(image_size=128), video_id="v1")
    other = make_card(detector="face_alignment")
    with pytest.raises(ValueError, match="'mediapipe', but 'face_alignment' made the person"):
        open_driving(tmp_path, other, video_id="v1")
    with pytest.raises(ValueError, match="got 'face_alignment', but .*records that 'mediapipe'"):
        open_driving(tmp_path, other, detector="face_alignment", video_id="v1")
    assert open_driving(tmp_path, make_card(), detector="mediapipe", video_id="v1").num_frames == 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": track(2)}, r"no array 'landmarks', found \['points'\]"),
        ({"landmarks": track(2)[0]}, r"landmarks: got float32 \[68, 2\]"),
        ({"landmarks": track(2) * np.nan}, "not all of them finite"),
        ({"landmarks": track(2), "scheme": "ibug68_gaze"}, "its scheme is 'ibug68_gaze'"),
        ({"landmarks": track(2), "detector": "face_alignment"}, "its detector is 'face_align"),
        (
            {"landmarks": track(2), "frames": np.zeros((2, 32, 32, 3), np.uint8)},
            r"frames: got uint8 \[2, 32, 32, 3\], expected uint8 \[2, 64, 64, 3\]",
        ),
        ({"landmarks": track(2), "fps": 0.0}, "fps: got 0.0"),
    ],
)
def test_wrong_tracks_are_named(tmp_path, arrays, message):
    path = tmp_path / "track.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        open_driving(path, make_card())
    assert "track.npz" in str(caught.value)


def test_wrong_sources_are_named(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="broken.npz: not a landmark track"):
        open_driving(tmp_path / "broken.npz", make_card())
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="text.mp4"):
        open_driving(tmp_path / "text.mp4", make_card())
    with pytest.raises(FileNotFoundError, match="nothing.mp4"):
        open_driving(tmp_path / "nothing.mp4", make_card())
    clip = write_clip(tmp_path / "clip.mp4", 2)
    with pytest.raises(ValueError, match="its detector is 'face_alignment'"):
        open_driving(clip, make_card(), detector="face_alignment")
    with pytest.raises(ValueError, match="is not a dataset folder"):
        open_driving(clip, make_card(), video_id="v1")


def test_a_detector_does_not_replace_what_a_track_records(tmp_path):
    np.savez(tmp_path / "track.npz", landmarks=track(2), detector="mediapipe")
    other = make_card(detector="face_alignment")
    for card in (make_card(), other):
        with pytest.raises(ValueError, match="got 'face_alignment', but .*track.npz records that"):
            open_driving(tmp_path / "track.npz", card, detector="face_alignment")
    np.save(tmp_path / "track.npy", track(2))  # records nothing
    assert open_driving(tmp_path / "track.npy", other, detector="face_alignment").num_frames == 2
    with pytest.raises(ValueError, match="its detector is 'mediapipe', but 'face_alignment' made"):
        open_driving(tmp_path / "track.npy", other, detector="mediapipe")


def test_a_camera_that_is_not_there_is_named_when_frames_are_asked_for():
    source = open_camera(97, make_card())
    assert (source.fps, source.num_frames, source.audio) == (25.0, 0, None)
    with pytest.raises(ValueError, match="camera 97"):
        next(source.frames())


def test_a_face_is_chosen_in_pictures_only(tmp_path):
    np.save(tmp_path / "track.npy", track(2))
    with pytest.raises(ValueError, match="face 'left': driving .*track.npy is no video"):
        open_driving(tmp_path / "track.npy", make_card(), face="left")
