import numpy as np
import pytest

from tests.tf_talking.media.pictures import HEIGHT, WIDTH, ramp
from tf_talking.media import video_reader
from tf_talking.media.video_writer import VideoWriter


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


def test_a_late_picture_takes_the_places_before_it(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", fps=50) as writer:
        for k, seconds in enumerate((0.0, 0.021, 0.1, 0.1)):
            writer.write(ramp(4 * k), seconds)
    blue = [round(frame[..., 2].mean() / 40) for frame in video_reader.read_frames(writer.path)]
    assert blue == [0, 1, 2, 2, 2, 2, 3]
