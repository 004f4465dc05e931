import pathlib

import pytest

from tests.tf_talking.media.pictures import ramp
from tf_talking.media.video_writer import VideoWriter


@pytest.fixture
def clip(tmp_path) -> pathlib.Path:
    with VideoWriter(tmp_path / "clip.mp4") as writer:
        for k in range(20):
            writer.write(ramp(k))
    return tmp_path / "clip.mp4"
