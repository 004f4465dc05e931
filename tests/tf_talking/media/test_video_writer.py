import av
import numpy as np
import pytest

from tests.tf_talking.media.pictures import HEIGHT, WIDTH, ramp
from tf_talking.media import video_reader
from tf_talking.media.video_writer import SUFFIXES, VideoWriter


def test_interrupted_writing_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        with VideoWriter(tmp_path / "out.mp4") as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
            raise RuntimeError
    with pytest.raises(ValueError, match="out.mp4: no frame"):
        with VideoWriter(tmp_path / "out.mp4"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_it_can_not_write(tmp_path):
    with pytest.raises(ValueError, match="out.mp4.*65x64.*even"):
        with VideoWriter(tmp_path / "out.mp4") as writer:
            writer.write(np.zeros((64, 65, 3), np.uint8))
    with pytest.raises(ValueError, match=r"frame 0 .*float64 \(64, 64, 3\), expected uint8"):
        with VideoWriter(tmp_path / "out.mp4") as writer:
            writer.write(np.zeros((64, 64, 3)))
    with pytest.raises(ValueError, match="fps: got 0"):
        VideoWriter(tmp_path / "out.mp4", fps=0)
    with pytest.raises(FileNotFoundError, match="missing"):
        VideoWriter(tmp_path / "missing" / "out.mp4")
    with pytest.raises(ValueError, match=r"frame 1 .*uint8 \(32, 64, 3\), expected .*\(64, 64, 3"):
        with VideoWriter(tmp_path / "out.mp4") as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
            writer.write(np.zeros((32, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_the_first_picture_gives_the_size(tmp_path):
    with VideoWriter(tmp_path / "out.mkv", fps=12.5) as writer:
        writer.write(ramp(0))
    info = video_reader.probe(tmp_path / "out.mkv")
    assert (info.width, info.height, info.fps) == (WIDTH, HEIGHT, 12.5)


def test_pictures_stand_where_their_times_say(tmp_path):
    times = [3.0, 3.04, 3.5, 3.5, 3.501, 7.25]
    with VideoWriter(tmp_path / "out.mp4") as writer:
        for k, seconds in enumerate(times):
            writer.write(ramp(4 * k), seconds)
    read = list(video_reader.read_pictures(writer.path))
    assert [picture.seconds for picture in read] == pytest.approx([0, 0.04, 0.5, 0.5, 0.501, 4.25], abs=0.001)
    assert [round(picture.pixels[..., 2].mean() / 40) for picture in read] == list(range(6))
    with av.open(str(writer.path)) as container:
        assert container.duration / 1e6 == pytest.approx(4.29, abs=0.005)


@pytest.mark.parametrize(
    "name, message",
    [
        ("noname", "noname: expected a name that ends in one of .mp4 .mov .m4v .mkv"),
        ("x.gif", "x.gif: expected a name that ends in"),
        ("x.webm", "x.webm: expected a name that ends in"),
        ("x.mpg", "x.mpg: expected a name that ends in"),
        ("folder", "folder: is a folder"),
        ("folder.mp4", "folder.mp4: is a folder"),
    ],
)
def test_names_that_can_not_be_written_are_refused_at_once(tmp_path, name, message):
    for folder in ("folder", "folder.mp4"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=message):
        VideoWriter(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colours_come_back_and_are_said_to_be_bt709(tmp_path, suffix):
    colours = np.array([[200, 30, 40], [30, 190, 60], [40, 60, 210], [220, 200, 30]], np.uint8)
    picture = np.repeat(np.repeat(colours.reshape(2, 2, 3), 32, 0), 32, 1)
    with VideoWriter(tmp_path / f"out{suffix}") as writer:
        writer.write(picture)
    with av.open(str(writer.path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
    (read,) = video_reader.read_frames(writer.path)
    assert np.abs(read[8::32, 8::32].astype(int) - colours.reshape(2, 2, 3)).max() <= 3
