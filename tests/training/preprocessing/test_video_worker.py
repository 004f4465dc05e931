import pytest

from tf_talking.extraction.extract import ExtractSettings
from training.preprocessing import video_worker
from training.preprocessing.video_worker import Throughput, VideoWorker


def test_throughput_says_what_voxceleb2_would_take():
    text = Throughput(1000, 10.0, 2).describe(ExtractSettings(max_frames=100))
    # 145,520 videos x 100 frames / 100 frames/s
    assert text == (
        "1000 frames, 100.0 frames/s on 2 processes; VoxCeleb2 (145,520 videos, at 100 frames each "
        "as configured) would take about 40 hours at this rate"
    )
    assert "rough figure" in Throughput(499, 10.0, 2).describe(ExtractSettings())
    whole = Throughput(1000, 10.0, None).describe(ExtractSettings(max_frames=0, frame_step=10))
    assert "on the workers of the job" in whole and "at 146 frames each" in whole
    one_a_second = Throughput(1000, 10.0, 1).describe(ExtractSettings(max_frames=0, frames_per_second=1.0))
    assert "at 58 frames each" in one_a_second  # 2,360 hours of 145,520 videos
    assert "1,460 frames each" in Throughput(9, 1.0, 1).describe(ExtractSettings(max_frames=0))
    nothing = Throughput(0, 0.0, 1).describe(ExtractSettings())
    assert nothing == "0 frames, 0.0 frames/s on 1 process"


def test_detectors_are_made_once_for_each_kind_of_input(monkeypatch):
    made, closed = [], []

    class Fake:
        def close(self):
            closed.append(self)

    class Item:
        def __init__(self, kind):
            self.kind = kind

    def get_detector(video, **spec):
        made.append((video, spec))
        return Fake()

    monkeypatch.setattr(video_worker, "get_detector", get_detector)
    monkeypatch.setattr(video_worker, "extract", lambda item, *rest: item.kind)
    worker = VideoWorker({"name": "mediapipe"}, ExtractSettings())
    kinds = ["clips", "photos", "video", "frames", "photos"]
    assert [worker(Item(kind)) for kind in kinds] == kinds
    assert made == [(True, {"name": "mediapipe"}), (False, {"name": "mediapipe"})]
    worker.close()
    assert len(closed) == 2 and worker.seconds > 0


@pytest.mark.parametrize("frames, seconds, rate", [(0, 0.0, 0.0), (50, 2.0, 25.0)])
def test_rate(frames, seconds, rate):
    assert Throughput(frames, seconds, 1).rate == rate
