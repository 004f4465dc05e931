"""Driving sources, held landmarks, side by side, sound; the program from end to end."""

import concurrent.futures
import pathlib
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from serving.client.blocking import TalkingHeadClient
from serving.drive import animation, driving
from tests.serving.client_helpers import BACKGROUND, POINTS, SIZE, make_card, track
from tf_talking.landmarks.detector import Detection
from tf_talking.media import jpeg, video


def face(x: float, y: float, size: float) -> np.ndarray:
    """68 points on a circle: not a face, but landmarks with a box."""
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    return (np.stack([np.cos(angles), np.sin(angles)], 1) * size / 2 + (x, y)).astype(np.float32)


def write_clip(path: pathlib.Path, num_frames=10, fps=10, sound=False) -> pathlib.Path:
    """A grey 96x64 video; `sound` adds a second of a 440 Hz tone as AAC."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("aac", rate=16000) if sound else None
        for index in range(num_frames):
            image = np.full((64, 96, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
        if sound:
            samples = np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000).astype(np.float32)
            for start in range(0, 16000, 1000):
                frame = av.AudioFrame.from_ndarray(
                    samples[None, start : start + 1000], format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts = 16000, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


class ScriptedDetector:
    """Returns, for frame i, what the script says: landmarks or a reason."""

    def __init__(self, script):
        self._script = iter(script)

    def detect(self, frames):
        found = [next(self._script) for _ in frames]
        return [
            Detection(None, entry) if isinstance(entry, str) else Detection(entry)
            for entry in found
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def detect_as(monkeypatch):
    """detect_as(script): what the detector finds in the frames of the next source."""

    def use(script):
        monkeypatch.setattr(driving, "get_detector", lambda *_, **__: ScriptedDetector(script))

    return use


@pytest.fixture(scope="module")
def client(toy_server):
    with TalkingHeadClient(toy_server.target) as client:
        yield client


def panels(frame: np.ndarray) -> list[np.ndarray]:
    return np.split(frame, frame.shape[1] // SIZE, axis=1)


def test_track_drives_frame_by_frame(client, tmp_path):
    np.savez(tmp_path / "track.npz", landmarks=track(12), fps=12.5, detector="mediapipe")
    output = tmp_path / "out.mp4"
    source = driving.open_driving(tmp_path / "track.npz", make_card())
    report = animation.animate_video(client, make_card(), source, output, batch_size=3)
    assert (report.num_frames, report.fps, report.sound, report.held) == (12, 12.5, False, {})
    frames = list(video.read_frames(output))
    assert len(frames) == 12 and video.probe(output).fps == 12.5
    columns = [int(frame[20].astype(int).sum(-1).argmax()) for frame in frames]
    assert np.abs(np.array(columns) - np.arange(4, 16)).max() <= 1
    assert np.abs(frames[5][50, 50].astype(int) - BACKGROUND).max() <= 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "track.npz"]


def test_side_by_side_shows_source_driving_landmarks_and_result(client, tmp_path):
    frames = np.full((3, SIZE, SIZE, 3), 200, np.uint8)
    landmarks = np.stack([face(32, 32, 30)] * 3)
    np.savez(tmp_path / "track.npz", landmarks=landmarks, frames=frames)
    source = driving.open_driving(tmp_path / "track.npz", make_card())
    photo = np.full((SIZE, SIZE, 3), 90, np.uint8)
    output = tmp_path / "out.mp4"
    animation.animate_video(client, make_card(), source, output, side_by_side=True, source=photo)
    shown = panels(next(video.read_frames(output)))
    assert len(shown) == 4
    assert abs(shown[0].mean() - 90) < 5 and abs(shown[1].mean() - 200) < 5
    assert shown[2][32, 32].max() < 40 and shown[2].max() > 150  # black canvas with lines
    assert np.abs(shown[3][60, 60].astype(int) - BACKGROUND).max() <= 12


def test_frames_without_a_face_hold_landmarks_and_are_counted(client, tmp_path, detect_as):
    clip = write_clip(tmp_path / "clip.mp4", 10)
    found = face(48, 32, 20)
    script = ["no face", "no face", found, "several faces (2)", face(300, 32, 20)]
    detect_as(script + [face(50, 32, 20)] * 5)
    items = list(driving.open_driving(clip, make_card()).frames())
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
    source = driving.open_driving(clip, make_card())
    report = animation.animate_video(client, make_card(), source, tmp_path / "out.mp4")
    assert report.held == {"no face": 2, "several faces (2)": 1, outside: 1}
    assert "landmarks held in 4 frames (landmarks outside the frame: 1, no face: 2" in str(report)


def test_no_face_at_all_is_an_error_and_leaves_nothing(client, tmp_path, detect_as):
    clip = write_clip(tmp_path / "clip.mp4", 3)
    detect_as(["no face"] * 3)
    source = driving.open_driving(clip, make_card())
    with pytest.raises(ValueError, match=r"clip.mp4: no landmarks in any of its 3 .*no face"):
        animation.animate_video(client, make_card(), source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_sound_and_speed_are_kept(client, tmp_path, detect_as):
    clip = write_clip(tmp_path / "clip.mp4", num_frames=10, fps=10, sound=True)
    detect_as([face(48, 32, 20)] * 10)
    source = driving.open_driving(clip, make_card())
    output = tmp_path / "out.mp4"
    report = animation.animate_video(client, make_card(), source, output)
    assert report.sound
    info = video.probe(output)
    assert info.has_audio and info.fps == 10 and info.num_frames_estimate == 10
    with av.open(str(output)) as container:
        samples = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    assert np.abs(samples).max() > 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


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
    items = list(driving.open_driving(tmp_path, make_card(), video_id="v1").frames())
    np.testing.assert_array_equal(np.stack([item.landmarks for item in items]), track(4))
    assert abs(int(items[0].frame.mean()) - 77) <= 1
    with pytest.raises(ValueError, match=r"got video_id None, expected one of its 1 .*v1"):
        driving.open_driving(tmp_path, make_card())
    with pytest.raises(ValueError, match="its image_size is 64, but 128"):
        driving.open_driving(tmp_path, make_card(image_size=128), video_id="v1")
    with pytest.raises(ValueError, match="'mediapipe', but 'face_alignment' made the person"):
        driving.open_driving(tmp_path, make_card(detector="face_alignment"), video_id="v1")


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
        driving.open_driving(path, make_card())
    assert "track.npz" in str(caught.value)


def test_wrong_sources_are_named(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="broken.npz: not a landmark track"):
        driving.open_driving(tmp_path / "broken.npz", make_card())
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="text.mp4"):
        driving.open_driving(tmp_path / "text.mp4", make_card())
    with pytest.raises(FileNotFoundError, match="nothing.mp4"):
        driving.open_driving(tmp_path / "nothing.mp4", make_card())
    clip = write_clip(tmp_path / "clip.mp4", 2)
    with pytest.raises(ValueError, match="its detector is 'face_alignment'"):
        driving.open_driving(clip, make_card(), detector="face_alignment")
    with pytest.raises(ValueError, match="is not a dataset folder"):
        driving.open_driving(clip, make_card(), video_id="v1")


def test_source_photos_are_cropped_like_the_frames(tmp_path, detect_as):
    photo = tmp_path / "ada.png"
    cv2.imwrite(str(photo), np.full((100, 120, 3), 55, np.uint8))
    detect_as([face(60, 50, 30)])
    cropped = driving.crop_photo(photo, make_card())
    assert cropped.shape == (SIZE, SIZE, 3) and (cropped == 55).all()
    detect_as(["several faces (2)"])
    with pytest.raises(ValueError, match=r"ada.png: several faces \(2\), expected a photo with"):
        driving.crop_photo(photo, make_card())


def test_program_from_track_to_video(toy_server, repo_root, tmp_path):
    card = make_card().save(tmp_path / "Ada.npz")
    np.save(tmp_path / "track.npy", track(6))
    output, lost = tmp_path / "out.mp4", tmp_path / "lost.mp4"

    def run(*flags):
        command = [sys.executable, "-m", "serving.animate", f"--person={card}", *flags]
        command.append(f"--driving={tmp_path / 'track.npy'}")
        return subprocess.run(command, cwd=repo_root, capture_output=True, text=True)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        written = pool.submit(
            run, f"--output={output}", f"--server={toy_server.target}", "--side_by_side"
        )
        failed = pool.submit(run, f"--output={lost}", "--server=localhost:1").result()
    done = written.result()
    assert done.returncode == 0, done.stderr
    assert "6 frames at 25 frames/s, without sound" in done.stdout
    frames = list(video.read_frames(output))
    assert len(frames) == 6 and frames[0].shape == (SIZE, 2 * SIZE, 3)
    assert failed.returncode == 1 and "UNAVAILABLE" in failed.stderr
    assert "Traceback" not in failed.stderr and not lost.exists()


def test_a_real_clip_drives(client, shared_dir, tmp_path):
    clip = sorted((shared_dir / "data" / "clips").glob("*.mp4"))[0]
    source = driving.open_driving(clip, make_card())
    items = []
    for item in source.frames():
        items.append(item)
        if len(items) == 20:
            break
    seen = [item for item in items if item.held_because is None]
    assert len(seen) >= 10
    for item in seen:
        assert item.frame.shape == (SIZE, SIZE, 3)
        assert abs(np.ptp(item.landmarks, axis=0).max() - SIZE / 2) < 2
    few = driving.Driving(lambda: iter(items), source.fps, len(items), source.audio)
    report = animation.animate_video(
        client, make_card(), few, tmp_path / "out.mp4", side_by_side=True
    )
    assert report.num_frames == 20 and report.sound == video.probe(clip).has_audio
