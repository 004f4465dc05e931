"""Side by side, held landmarks, sound."""

import av
import numpy as np
import pytest

from serving.drive.animation import animate_video
from serving.drive.driving import open_driving
from tests.awkward_videos import at_25, beeps_of, break_off, write_video
from tests.faces import film, painted
from tests.serving.client_helpers import BACKGROUND, POINTS, SIZE, make_card, track
from tests.serving.drive.clips import face, write_clip
from tf_talking.media.video_reader import probe, read_frames, read_pictures


def panels(frame: np.ndarray) -> list[np.ndarray]:
    return np.split(frame, frame.shape[1] // SIZE, axis=1)


def test_track_drives_frame_by_frame(client, tmp_path):
    np.savez(tmp_path / "track.npz", landmarks=track(12), fps=12.5, detector="mediapipe")
    output = tmp_path / "out.mp4"
    source = open_driving(tmp_path / "track.npz", make_card())
    report = animate_video(client, make_card(), source, output, batch_size=3)
    assert (report.num_frames, report.fps, report.sound, report.held) == (12, 12.5, False, {})
    frames = list(read_frames(output))
    assert len(frames) == 12 and probe(output).fps == 12.5
    columns = [int(frame[20].astype(int).sum(-1).argmax()) for frame in frames]
    assert np.abs(np.array(columns) - np.arange(4, 16)).max() <= 1
    assert np.abs(frames[5][50, 50].astype(int) - BACKGROUND).max() <= 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "track.npz"]


def test_side_by_side_shows_source_driving_landmarks_and_result(client, tmp_path):
    frames = np.full((3, SIZE, SIZE, 3), 200, np.uint8)
    landmarks = np.stack([face(32, 32, 30)] * 3)
    np.savez(tmp_path / "track.npz", landmarks=landmarks, frames=frames)
    source = open_driving(tmp_path / "track.npz", make_card())
    photo = np.full((SIZE, SIZE, 3), 90, np.uint8)
    output = tmp_path / "out.mp4"
    animate_video(client, make_card(), source, output, side_by_side=True, source=photo)
    shown = panels(next(read_frames(output)))
    assert len(shown) == 4
    assert abs(shown[0].mean() - 90) < 5 and abs(shown[1].mean() - 200) < 5
    assert shown[2][32, 32].max() < 40 and shown[2].max() > 150  # black canvas with lines
    assert np.abs(shown[3][60, 60].astype(int) - BACKGROUND).max() <= 12


def test_frames_without_a_face_hold_landmarks_and_are_counted(client, tmp_path, detect_as):
    clip = write_clip(tmp_path / "clip.mp4", 10)
    found = face(48, 32, 20)
    script = ["no face", "no face", found, "several faces (2)", face(300, 32, 20)]
    detect_as(script + [face(50, 32, 20)] * 5)
    items = list(open_driving(clip, make_card()).frames())
    reasons = [item.held_because for item in items]
    outside = "landmarks outside the frame"
    assert reasons == ["no face", "no face", None, "several faces (2)", outside] + [None] * 5
    for index in (0, 1, 3, 4):
        np.testing.assert_array_equal(items[index].landmarks, items[2].landmarks)
    assert all(item.frame.shape == (SIZE, SIZE, 3) for item in items)
    assert items[2].landmarks.shape == (POINTS, 2)  # in pixels of the crop: half of it is face
    extent = np.ptp(items[2].landmarks, axis=0).max()
    assert abs(extent - SIZE / 2) < 1

    detect_as(script + [found] * 5)
    source = open_driving(clip, make_card())
    report = animate_video(client, make_card(), source, tmp_path / "out.mp4")
    assert report.held == {"no face": 2, "several faces (2)": 1, outside: 1}
    assert "landmarks held in 4 frames (landmarks outside the frame: 1, no face: 2" in str(report)


def test_no_face_at_all_is_an_error_and_leaves_nothing(client, tmp_path, detect_as):
    clip = write_clip(tmp_path / "clip.mp4", 3)
    detect_as(["no face"] * 3)
    source = open_driving(clip, make_card())
    with pytest.raises(ValueError, match=r"clip.mp4: no landmarks in any of its 3 .*no face"):
        animate_video(client, make_card(), source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_sound_and_speed_are_kept(client, tmp_path, detect_as):
    clip = write_clip(tmp_path / "clip.mp4", num_frames=10, fps=10, sound=True)
    detect_as([face(48, 32, 20)] * 10)
    source = open_driving(clip, make_card())
    output = tmp_path / "out.mp4"
    report = animate_video(client, make_card(), source, output)
    assert report.sound
    info = probe(output)
    assert info.has_audio and info.fps == 10 and info.num_frames_estimate == 10
    with av.open(str(output)) as container:
        samples = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    assert np.abs(samples).max() > 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_a_clip_of_a_person_drives(client, tmp_path):
    clip = film(tmp_path / "clip.mp4", painted(1))
    source = open_driving(clip, make_card())
    items = list(source.frames())
    assert [item.held_because for item in items] == [None] * 12
    for item in items:
        assert item.frame.shape == (SIZE, SIZE, 3)
        assert abs(np.ptp(item.landmarks, axis=0).max() - SIZE / 2) < 2
    report = animate_video(client, make_card(), source, tmp_path / "out.mp4", side_by_side=True)
    assert (report.num_frames, report.sound, report.held) == (12, False, {})


def test_pictures_and_sound_stand_where_they_stood(client, tmp_path, detect_as):
    times = [*at_25(20, 1.5), *(2.3 + k / 8 for k in range(10)), *at_25(20, 3.55)]  # a phone in the dark
    clip = write_video(tmp_path / "phone.mp4", times, sound="aac", sound_at=(0.5, 5.0))
    detect_as([face(48, 32, 20)] * 50)
    report = animate_video(client, make_card(), open_driving(clip, make_card()), tmp_path / "out.mp4")
    assert (report.num_frames, report.sound, report.sound_problem) == (50, True, None)
    shown = [picture.seconds for picture in read_pictures(tmp_path / "out.mp4")]
    assert shown == pytest.approx([seconds - 1.5 for seconds in times], abs=0.002)
    assert beeps_of(tmp_path / "out.mp4") == pytest.approx([0, 1, 2], abs=0.03)


def test_a_driver_that_broke_off_and_has_no_known_sound_drives_as_far_as_it_goes(client, tmp_path, detect_as):
    options = {"movflags": "faststart"}
    clip = write_video(tmp_path / "x.mov", at_25(50), sound="aac", sound_at=(0, 2), container_options=options)
    break_off(clip, 0.7)
    data = clip.read_bytes()
    clip.write_bytes(data.replace(b"mp4a", b"apac").replace(b"esds", b"dpac"))
    detect_as([face(48, 32, 20)] * 50)
    report = animate_video(client, make_card(), open_driving(clip, make_card()), tmp_path / "out.mp4")
    assert 20 < report.num_frames < 45 and not report.sound
    assert f"without sound (sound of {clip}: in a format that can not be decoded)" in str(report)
    assert f"; of what drives: broke off after {report.num_frames} frames: " in str(report)
    assert len(list(read_frames(tmp_path / "out.mp4"))) == report.num_frames
