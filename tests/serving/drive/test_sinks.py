import contextlib
import time

import numpy as np
import pytest

from serving.drive.sinks import Recorder, Window
from tf_talking.media.video_reader import read_frames


def test_no_display_is_named(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="no window can be opened here.*output"):
        Window()


def test_a_live_recording_keeps_its_speed(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)
    with Recorder(str(tmp_path / "live.mp4"), 50.0, live=True) as recorder:
        recorder.write(picture)
        time.sleep(0.2)
        recorder.write(picture)  # ten frames later
    assert len(list(read_frames(tmp_path / "live.mp4"))) >= 11
    with contextlib.suppress(KeyError), Recorder(str(tmp_path / "no.mp4"), 50.0, False) as lost:
        lost.write(picture)
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["live.mp4"]


def test_without_a_picture_there_is_no_file_and_no_error(tmp_path):
    with Recorder(tmp_path / "none.mp4", 25.0, live=False):
        pass
    assert not list(tmp_path.iterdir())
