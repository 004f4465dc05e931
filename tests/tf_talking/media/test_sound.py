import pathlib

import av
import numpy as np
import pytest

from tests.tf_talking.media.pictures import HEIGHT, WIDTH, ramp
from tf_talking.media import video_reader
from tf_talking.media.video_writer import VideoWriter


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


def write_with(sound: pathlib.Path, path: pathlib.Path) -> VideoWriter:
    with VideoWriter(path, sound=sound) as writer:
        for k in range(20):
            writer.write(ramp(k))
    return writer


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


@pytest.mark.parametrize("codec, suffix", [("aac", "mp4"), ("pcm_s16le", "mov")])
@pytest.mark.parametrize("seconds", [3.0, 0.4])
def test_sound_is_copied_and_cut_to_the_pictures(tmp_path, codec, suffix, seconds):
    source, output = tmp_path / f"source.{suffix}", tmp_path / "out.mp4"
    write_sound(source, seconds, codec)
    assert video_reader.probe(source).has_audio
    assert write_with(source, output).has_sound
    ends = streams(output)
    assert ends["video"] == pytest.approx(0.8)
    assert abs(ends["audio"] - min(seconds, 0.8)) < 0.1
    assert len(list(video_reader.read_frames(output))) == 20
    with av.open(str(output)) as container:
        samples = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    assert np.abs(samples).max() > 0.5
    assert not list(tmp_path.glob("*.tmp*")) and not list(tmp_path.glob(".*"))


def test_without_sound_the_pictures_are_written(clip, tmp_path):
    assert not write_with(clip, tmp_path / "out.mp4").has_sound
    frames = [list(video_reader.read_frames(path)) for path in (clip, tmp_path / "out.mp4")]
    np.testing.assert_array_equal(*frames)
    assert list(streams(tmp_path / "out.mp4")) == ["video"]
    (tmp_path / "bad.mp4").write_bytes(b"text" * 99)
    with pytest.raises(ValueError, match="bad.mp4"):
        write_with(tmp_path / "bad.mp4", tmp_path / "out2.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mp4", "clip.mp4", "out.mp4"]
