import pathlib

import av
import numpy as np
import pytest

from tf_talking.media import video

WIDTH, HEIGHT = 96, 64


def ramp(k: int) -> np.ndarray:
    """A picture with a direction: red grows to the right, green downwards, blue with time."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([x * 2, y * 3, np.full_like(x, 10 * k)], -1).astype(np.uint8)


@pytest.fixture
def clip(tmp_path) -> pathlib.Path:
    with video.VideoWriter(tmp_path / "clip.mp4", fps=25, size=(WIDTH, HEIGHT)) as writer:
        for k in range(20):
            writer.write(ramp(k))
    return tmp_path / "clip.mp4"


def write_sound(path: pathlib.Path, seconds: float, codec: str = "aac") -> None:
    """A file with pictures and a tone."""
    rate = 44100
    tone = np.sin(np.arange(int(seconds * rate)) * 0.05).astype(np.float32)[None]
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream(codec, rate=rate)
        for k in range(int(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(ramp(k % 20), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=rate)
        for part in resampler.resample(frame):
            container.mux(sound.encode(part))
        container.mux(sound.encode())


def streams(path) -> dict[str, float]:
    """Seconds by kind of stream."""
    ends = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                kind = packet.stream.type
                ends[kind] = max(ends.get(kind, 0), end)
    return ends


def test_written_video_reads_back(clip):
    frames = list(video.read_frames(clip))
    assert len(frames) == 20 and frames[0].shape == (HEIGHT, WIDTH, 3)
    for k in (0, 19):
        assert frames[k].dtype == np.uint8
        assert np.abs(frames[k].astype(int) - ramp(k)).mean() < 4
    assert video.probe(clip) == video.VideoInfo(WIDTH, HEIGHT, 25.0, 20, False)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


def test_interrupted_writing_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        with video.VideoWriter(tmp_path / "out.mp4", fps=25, size=64) as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
            raise RuntimeError
    with pytest.raises(ValueError, match="out.mp4: no frame"):
        with video.VideoWriter(tmp_path / "out.mp4", fps=25, size=64):
            pass
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_it_can_not_write(tmp_path):
    with pytest.raises(ValueError, match="65x64.*even"):
        video.VideoWriter(tmp_path / "out.mp4", fps=25, size=(65, 64))
    with pytest.raises(ValueError, match="fps: got 0"):
        video.VideoWriter(tmp_path / "out.mp4", fps=0, size=64)
    with pytest.raises(FileNotFoundError, match="missing"):
        video.VideoWriter(tmp_path / "missing" / "out.mp4", fps=25, size=64)
    with pytest.raises(ValueError, match=r"frame 0 .*uint8 \(32, 64, 3\), expected .*\(64, 64, 3"):
        with video.VideoWriter(tmp_path / "out.mp4", fps=25, size=64) as writer:
            writer.write(np.zeros((32, 64, 3), np.uint8))


def test_rotated_video_comes_upright(clip):
    data = bytearray(clip.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    # 90 degrees clockwise in the track header, as phones write for a portrait video.
    one, minus_one = (1 << 16).to_bytes(4, "big"), (-1 << 16).to_bytes(4, "big", signed=True)
    data[matrix : matrix + 20] = bytes(4) + one + bytes(4) + minus_one + bytes(4)
    clip.write_bytes(data)
    frame = next(video.read_frames(clip))
    expected = np.rot90(ramp(0), -1)
    assert frame.shape == expected.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(frame.astype(int) - expected).mean() < 4
    info = video.probe(clip)
    assert (info.width, info.height) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "content, message",
    [(b"", "empty file"), (b"just some text\n" * 50, "not a video"), (None, "no such file")],
)
def test_unreadable_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.mp4: {message}"):
        list(video.read_frames(path))
    with pytest.raises(ValueError, match=f"bad.mp4: {message}"):
        video.probe(path)


def test_truncated_and_soundless_files_are_named(clip, tmp_path):
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="clip.mp4: .*corrupt"):
        list(video.read_frames(clip))
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="sound.mp4: holds no video"):
        list(video.read_frames(tmp_path / "sound.mp4"))


def test_decompression_bomb_is_refused(clip, monkeypatch):
    monkeypatch.setattr(video.photos, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(ValueError, match="clip.mp4: 96x64 pixels, more than"):
        list(video.read_frames(clip))


def test_folder_of_frames_is_read_in_natural_order(tmp_path):
    import cv2

    for k in (0, 9, 10):
        cv2.imwrite(str(tmp_path / f"frame{k}.png"), ramp(k)[..., ::-1])
    frames = list(video.read_frames(tmp_path))
    for k, frame in zip((0, 9, 10), frames, strict=True):
        np.testing.assert_array_equal(frame, ramp(k))
    assert video.probe(tmp_path) == video.VideoInfo(WIDTH, HEIGHT, 25.0, 3, False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: a folder without images"):
        list(video.read_frames(tmp_path / "empty"))


@pytest.mark.parametrize("codec, suffix", [("aac", "mp4"), ("pcm_s16le", "mov")])
def test_sound_is_copied_and_cut_to_the_pictures(clip, tmp_path, codec, suffix):
    source = tmp_path / f"source.{suffix}"
    write_sound(source, 3.0, codec)
    assert video.probe(source).has_audio
    assert video.copy_audio(source, clip, tmp_path / "out.mp4") is True
    ends = streams(tmp_path / "out.mp4")
    assert ends["video"] == pytest.approx(0.8)
    assert 0.7 < ends["audio"] < 0.9
    assert len(list(video.read_frames(tmp_path / "out.mp4"))) == 20
    assert not list(tmp_path.glob("*.tmp*")) and not list(tmp_path.glob(".*"))


def test_without_sound_the_pictures_are_copied(clip, tmp_path):
    assert video.copy_audio(clip, clip, tmp_path / "out.mp4") is False
    before, after = list(video.read_frames(clip)), list(video.read_frames(tmp_path / "out.mp4"))
    np.testing.assert_array_equal(before, after)
    (tmp_path / "bad.mp4").write_bytes(b"text" * 99)
    with pytest.raises(ValueError, match="bad.mp4"):
        video.copy_audio(tmp_path / "bad.mp4", clip, tmp_path / "out2.mp4")
    assert not (tmp_path / "out2.mp4").exists()


def test_real_clip(shared_dir):
    path = shared_dir / "data" / "clips" / "c001.mp4"
    info = video.probe(path)
    assert (info.width, info.height, info.fps, info.has_audio) == (384, 384, 25.0, False)
    assert len(list(video.read_frames(path))) == info.num_frames_estimate == 78
