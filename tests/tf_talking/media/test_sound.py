import os

import pytest

from tests.awkward_videos import at_25, beeps_of, break_off, hide_sound_format, write_video
from tests.tf_talking.media.pictures import ramp
from tf_talking.media import video_reader
from tf_talking.media.sound import Sound
from tf_talking.media.video_writer import VideoWriter


def rewrite(source, output) -> VideoWriter:
    """The pictures of a file with their times, and its sound."""
    with VideoWriter(output, sound=source) as writer:
        for picture in video_reader.read_pictures(source):
            writer.write(picture.pixels, picture.seconds)
    return writer


@pytest.mark.parametrize(
    "name, pictures_from, sound_at, expected",
    [
        ("as_one.mp4", 0.0, (0.0, 2.2), [0.0, 1.0, 2.0]),
        ("pictures_late.mp4", 0.72, (0.0, 4.0), [0.28, 1.28, 2.28]),
        ("sound_late.mp4", 0.0, (0.8, 3.0), [0.8, 1.8]),
        ("sound_longer.mp4", 0.0, (0.0, 6.0), [0.0, 1.0, 2.0]),
        ("sound_shorter.mp4", 0.0, (0.0, 0.5), [0.0]),
        ("recorder.ts", 10.0, (10.0, 13.0), [0.0, 1.0, 2.0]),
    ],
)
def test_sound_stands_beside_the_pictures_where_it_stood(tmp_path, name, pictures_from, sound_at, expected):
    options = {"muxdelay": "0"} if name.endswith(".ts") else {}
    source = write_video(
        tmp_path / name, at_25(60, pictures_from), sound="aac", sound_at=sound_at, container_options=options
    )
    writer = rewrite(source, tmp_path / "out.mp4")
    assert (writer.has_sound, writer.sound_problem, writer.num_frames) == (True, None, 60)
    assert beeps_of(tmp_path / "out.mp4") == pytest.approx(expected, abs=0.03)
    with video_reader.decoding.open_video(tmp_path / "out.mp4") as container:
        assert container.duration / 1e6 == pytest.approx(2.4, abs=0.05)


@pytest.mark.parametrize(
    "name, codec, rate, layout",
    [
        ("surround.mkv", "pcm_s16le", 48000, "5.1"),
        ("phone.avi", "pcm_mulaw", 8000, "mono"),
        ("studio.mov", "pcm_s24le", 96000, "stereo"),
        ("browser.webm", "libopus", 48000, "stereo"),
        ("music.mp4", "libmp3lame", 44100, "stereo"),
        ("old.mkv", "ac3", 32000, "5.1"),
    ],
)
def test_sound_of_any_format_is_taken(tmp_path, name, codec, rate, layout):
    pictures = {"codec": "libvpx"} if name.endswith("webm") else {}
    source = write_video(
        tmp_path / name, at_25(60), sound=codec, sound_at=(0, 2.4), sound_rate=rate, sound_layout=layout, **pictures
    )
    assert video_reader.probe(source).has_audio
    writer = rewrite(source, tmp_path / "out.mp4")
    assert (writer.has_sound, writer.sound_problem) == (True, None)
    assert beeps_of(tmp_path / "out.mp4") == pytest.approx([0, 1, 2], abs=0.04)


def test_what_can_not_be_heard_is_said_and_the_pictures_are_written(tmp_path, monkeypatch):
    only = write_video(tmp_path / "only.mov", at_25(20), sound="aac", sound_at=(0, 1))
    hide_sound_format(only)
    writer = rewrite(only, tmp_path / "out.mp4")
    assert not writer.has_sound and writer.num_frames == 20
    assert writer.sound_problem == f"sound of {only}: in a format that can not be decoded"
    assert len(list(video_reader.read_frames(tmp_path / "out.mp4"))) == 20
    silent = write_video(tmp_path / "silent.mp4", at_25(3))
    writer = rewrite(silent, tmp_path / "out.mp4")
    assert (writer.has_sound, writer.sound_problem) == (False, None)
    (tmp_path / "bad.mp4").write_bytes(b"text" * 99)
    with VideoWriter(tmp_path / "out.mp4", sound=tmp_path / "bad.mp4") as writer:
        writer.write(ramp(0))
    assert not writer.has_sound and "bad.mp4: not a video" in writer.sound_problem


def test_sound_that_breaks_off_is_kept_up_to_there(tmp_path):
    source = write_video(
        tmp_path / "x.mp4", at_25(75), sound="aac", sound_at=(0, 3), container_options={"movflags": "faststart"}
    )
    break_off(source, 0.6)
    writer = rewrite(source, tmp_path / "out.mp4")
    assert writer.has_sound and 20 < writer.num_frames < 75
    assert beeps_of(tmp_path / "out.mp4")[:1] == pytest.approx([0], abs=0.03)


def test_a_stream_that_can_not_be_added_leaves_no_file_open(tmp_path):
    source = write_video(tmp_path / "x.mp4", at_25(5), sound="aac", sound_at=(0, 1))

    class Full:
        def add_stream(self, *_, **__):
            raise ValueError("no more streams")

    open_files = len(os.listdir("/proc/self/fd"))
    sound = Sound(source, Full())
    assert (sound.found, sound.problem) == (False, "no more streams")
    assert len(os.listdir("/proc/self/fd")) == open_files
