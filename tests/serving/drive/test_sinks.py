import asyncio

import numpy as np
import pytest

from serving.drive.sinks import Recorder, Window
from tf_talking.media.video_reader import read_pictures


def test_no_display_is_named(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="no window can be opened here.*output"):
        Window()


def test_a_recording_keeps_the_times_of_its_pictures(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)
    with Recorder(str(tmp_path / "live.mp4"), 50.0) as recorder:
        for seconds in (7.0, 7.2, 7.21):
            asyncio.run(recorder.write(picture, seconds))
    times = [read.seconds for read in read_pictures(tmp_path / "live.mp4")]
    assert times == pytest.approx([0, 0.2, 0.21], abs=0.001)


def test_what_was_recorded_before_an_error_is_kept(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="camera 0 stopped"), Recorder(tmp_path / "kept.mp4", 50.0) as recorder:
        for seconds in (0.0, 0.5):
            asyncio.run(recorder.write(picture, seconds))
        raise ValueError("camera 0 stopped giving frames")
    assert len(list(read_pictures(tmp_path / "kept.mp4"))) == 2
    with pytest.raises(ValueError, match="even numbers"), Recorder(tmp_path / "no.mp4", 50.0) as recorder:
        asyncio.run(recorder.write(np.zeros((31, 31, 3), np.uint8), 0.0))
    assert [path.name for path in tmp_path.iterdir()] == ["kept.mp4"]


def test_without_a_picture_there_is_no_file_and_no_error(tmp_path):
    with Recorder(tmp_path / "none.mp4", 25.0):
        pass
    assert not list(tmp_path.iterdir())
