"""The evaluation itself: video after video, each measured, drawn and written when it is whole."""

import dataclasses
import pathlib
import time

import numpy as np
from absl import logging

from tf_talking.config import Config
from tf_talking.data.dataset_folder import DatasetFolder
from tf_talking.data.records import VideoRecord, decode_frames
from tf_talking.landmarks.draw import draw_landmarks
from training.evaluation_frames import VideoFrames
from training.evaluation_methods import Methods
from training.evaluation_metrics import EvaluationMetrics
from training.evaluation_report import build_blocks, draw_strip, write_reports
from training.evaluation_results import (
    REAL,
    EvaluationFolder,
    feature_key,
    make_line,
    over_all_videos,
    parse_line,
)
from training.person_source import PersonFrames
from training.run_folder import write_atomically


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What all videos of an evaluation have in common.

    Attributes:
      config: of the model, with the overrides of fine-tuning.
      folder: the dataset.
      facts: what evaluation.json holds, and `training` for the report.
      output: started with these facts.
    """

    config: Config
    folder: DatasetFolder
    methods: Methods
    metrics: EvaluationMetrics
    facts: dict
    output: EvaluationFolder

    def run(self, videos: list[VideoFrames]) -> None:
        """Evaluates each video that is not finished yet, telling how far it is."""
        todo = [v for v in videos if not self.output.is_finished(v.entry.video_id)]
        if len(todo) < len(videos):
            logging.info("%d of %d videos are finished", len(videos) - len(todo), len(videos))
        start = time.monotonic()
        for number, video in enumerate(todo, 1):
            self.run_video(video)
            passed = time.monotonic() - start
            logging.info(
                "video %d of %d done, %.0f s, about %.0f s left",
                number, len(todo), passed, passed / number * (len(todo) - number),
            )  # fmt: skip

    def run_video(self, video: VideoFrames) -> None:
        """All T, methods and metrics of one video."""
        video_id, identity = video.entry.video_id, video.entry.identity
        record = self.folder.read_video(video_id)
        truth, driving = decode_frames(record, video.holdout), record.landmarks[video.holdout]
        drawn = draw_all(self.config, driving)
        lines, strips, seconds, features = [], [], {}, {}
        with_fid = "fid" in self.metrics.names
        if with_fid:
            features[REAL] = self.metrics.features(truth)
        for shots, chosen in video.shots.items():
            person = few_shot_frames(record, chosen)
            frames = self.methods.draw(person, driving)
            seconds[shots] = {name: round(value, 4) for name, value in self.methods.seconds.items()}
            for method, fakes in frames.items():
                for measured in self.metrics.measure(truth, fakes, driving):
                    lines.append(
                        make_line(self.facts, measured, method, shots, video_id, identity=identity)
                    )
                if with_fid:
                    features[feature_key(method, shots)] = self.metrics.features(fakes)
            strips.append(draw_strip(person.frames[0], drawn, truth, frames))
            logging.info("%s, T = %d: %s", video_id, shots, seconds[shots])
        used = {
            "video_id": video_id,
            "identity": identity,
            "shots": {shots: chosen.tolist() for shots, chosen in video.shots.items()},
            "holdout": video.holdout.tolist(),
            "seconds": seconds,
        }
        self.output.write_video(video_id, lines, used, np.concatenate(strips), features)

    def write_results(self, videos: list[VideoFrames], left_out: dict[str, str]) -> pathlib.Path:
        """results.jsonl and the reports of finished videos. Returns the page's path."""
        output, video_ids = self.output, [video.entry.video_id for video in videos]
        totals = over_all_videos(output, video_ids, self.facts, self.facts["metrics"])
        own = [(output.video(v) / "results.jsonl").read_text() for v in video_ids]
        write_atomically(output.path / "results.jsonl", "".join(own) + "\n".join(totals) + "\n")
        parsed = [parse_line(line) for line in totals]
        blocks = build_blocks(output, self.facts, parsed, video_ids, left_out)
        write_reports(blocks, output.path, write_atomically)
        return output.path / "report.html"


def few_shot_frames(record: VideoRecord, chosen: np.ndarray) -> PersonFrames:
    """The frames of a record that a person is learnt from."""
    return PersonFrames(decode_frames(record, chosen), record.landmarks[chosen], record.video_id)


def draw_all(config: Config, landmarks: np.ndarray) -> np.ndarray:
    """Landmark images uint8 [N, S, S, 3] of landmarks [N, P, 2], for people to look at."""
    drawing = config.landmarks
    return np.stack(
        [
            draw_landmarks(
                points, config.model.image_size, drawing.scheme, drawing.line_thickness,
                drawing.inner_lips,
            )
            for points in landmarks
        ]
    )  # fmt: skip
