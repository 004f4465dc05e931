"""The evaluation itself: video after video, each measured, drawn and written when it is whole."""

import dataclasses
import pathlib
import time

import numpy as np
from absl import logging

from tf_talking.config import Config
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import decode_frames
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.metrics.available import EvaluationMetrics
from training.evaluation.cross import CrossReenactment
from training.evaluation.folder import (
    REAL,
    EvaluationFolder,
    feature_key,
    make_line,
    over_all_videos,
    parse_line,
)
from training.evaluation.frames import VideoFrames
from training.evaluation.methods import Methods
from training.evaluation.report import build_blocks, write_reports
from training.evaluation.strips import draw_strip, strip_methods
from training.person.frames import PersonFrames
from training.runs.folder import write_atomically
from training.study.frames import generated_folder, save_frames


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What all videos of an evaluation have in common.

    Attributes:
      config: of the model, with the overrides of fine-tuning.
      folder: the dataset.
      facts: what evaluation.json holds, and `training` for the report.
      output: started with these facts.
      cross: people driven by others, from the smallest T; None: not.
      study_frames: folder that the generated frames go to, for a user study; None: nowhere.
    """

    config: Config
    folder: DatasetFolder
    methods: Methods
    metrics: EvaluationMetrics
    facts: dict
    output: EvaluationFolder
    cross: CrossReenactment | None = None
    study_frames: pathlib.Path | None = None

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
                number,
                len(todo),
                passed,
                passed / number * (len(todo) - number),
            )

    def run_video(self, video: VideoFrames) -> None:
        """All T, methods and metrics of one video."""
        video_id, identity = video.entry.video_id, video.entry.identity
        record = self.folder.read_video(video_id)
        source = self.folder.read_video(video.source.video_id) if video.source else record
        truth, driving = decode_frames(record, video.holdout), record.landmarks[video.holdout]
        config = self.config
        drawn = landmark_picture(config.landmarks, driving, config.model.image_size)
        hidden = PersonFrames(truth, driving, video_id)
        lines, strips, seconds, features, cross, stops = [], [], {}, {}, None, {}
        if "fid" in self.metrics.names:
            features[REAL] = self.metrics.features(truth)
        for shots, chosen in video.shots.items():
            person = PersonFrames.of_record(source, chosen)
            drivers = []
            if self.cross and shots == min(video.shots):
                drivers = self.cross.drivers_of(identity)
            every = np.concatenate([driving, *(driver.landmarks for driver in drivers)])
            results = self.methods.draw(person, every, hidden)
            seconds[shots] = {name: round(value, 4) for name, value in self.methods.seconds.items()}
            stops[shots] = {"curves": self.methods.curves, "best": self.methods.best_epochs}
            own = {method: frames[: len(driving)] for method, frames in results.items()}
            measured: dict[str, tuple] = {}
            for method, fakes in own.items():
                # FT before fine-tuning drew what FF drew: the same figures, measured once.
                twin = next((m for m in measured if np.array_equal(own[m], fakes)), None)
                measured[method] = measured[twin] if twin else self._measure(truth, fakes, driving)
                lines += self._lines(measured[method][0], method, shots, video)
                if "fid" in self.metrics.names:
                    features[feature_key(method, shots)] = measured[method][1]
            if drivers:
                others = {method: frames[len(driving) :] for method, frames in results.items()}
                cross = self.cross.measure(person, others, drivers, self.facts, video_id, identity)
            if self.study_frames:
                self._write_for_study(own, shots, video)
            strips.append(draw_strip(person.frames[0], drawn, truth, own))
            logging.info("%s, T = %d: seconds %s", video_id, shots, seconds[shots])
        used = {
            "video_id": video_id,
            "identity": identity,
            "shots": {shots: chosen.tolist() for shots, chosen in video.shots.items()},
            "few_shot_from": source.video_id,
            "holdout": video.holdout.tolist(),
            "seconds": seconds,
            "stops": stops,
        }
        self.output.write_video(video_id, lines, used, np.concatenate(strips), features, cross)

    def _write_for_study(self, own, shots: int, video: VideoFrames) -> None:
        """What FF and fine-tuning drew, where training.user_study finds it."""
        entry = video.entry
        for method in strip_methods(list(own)):
            condition = (entry.identity, method.upper(), shots, entry.video_id)
            folder = generated_folder(self.study_frames, *condition)
            save_frames(folder, own[method], video.holdout)

    def _measure(self, truth, fakes, driving) -> tuple:
        """(measurements, Inception features or None) of the frames of one method."""
        return self.metrics.measure(truth, fakes, driving), self.metrics.features(fakes)

    def _lines(self, measured, method: str, shots: int, video: VideoFrames) -> list[str]:
        entry = video.entry
        return [
            make_line(self.facts, found, method, shots, entry.video_id, identity=entry.identity)
            for found in measured
        ]

    def write_results(self, videos: list[VideoFrames], left_out: dict[str, str]) -> pathlib.Path:
        """results.jsonl and the reports of finished videos. Returns the page's path."""
        output, video_ids = self.output, [video.entry.video_id for video in videos]
        totals = over_all_videos(output, video_ids, self.facts, self.facts["metrics"])
        text = output.join(video_ids, "results.jsonl") + "\n".join(totals) + "\n"
        write_atomically(output.path / "results.jsonl", text)
        if self.cross:
            write_atomically(output.path / "cross.jsonl", output.join(video_ids, "cross.jsonl"))
        parsed = [parse_line(line) for line in totals]
        blocks = build_blocks(output, self.facts, parsed, video_ids, left_out)
        write_reports(blocks, output.path, write_atomically)
        return output.path / "report.html"
