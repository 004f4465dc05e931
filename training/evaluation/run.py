"""The evaluation itself: video after video, each measured, drawn and written when it is whole."""

import dataclasses
import pathlib

import numpy as np
from absl import logging

from tf_talking.config import Config
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.metrics.available import EvaluationMetrics
from training.evaluation.cross import CrossReenactment
from training.evaluation.folder import REAL, EvaluationFolder, feature_key
from training.evaluation.frames import VideoFrames
from training.evaluation.lines import make_row
from training.evaluation.methods import Methods
from training.evaluation.names import shown_methods
from training.evaluation.report import build_blocks, write_reports
from training.evaluation.strips import draw_strip
from training.evaluation.totals import over_all_videos
from training.person.frames import PersonFrames
from training.study.frames import generated_folder, save_frames


@dataclasses.dataclass(frozen=True)
class _Learnt:
    """What comes of learning a person from T frames; see `EvaluationFolder.write_video`."""

    rows: list[dict]
    features: dict[str, np.ndarray]
    strip: np.ndarray
    seconds: dict[str, float]
    stops: dict[str, dict]
    cross: tuple[list[dict], np.ndarray] | None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What all videos of an evaluation have in common.

    Attributes:
      config: of the model, with the overrides of fine-tuning.
      folder: the dataset.
      facts: what evaluation.json holds.
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
        """Evaluates each video that is not finished yet."""
        for video in self.output.unfinished(videos, lambda v: v.entry.video_id, "video"):
            self.run_video(video)

    def run_video(self, video: VideoFrames) -> None:
        """All T, methods and metrics of one video."""
        video_id = video.entry.video_id
        record = self.folder.read_video(video_id)
        source = self.folder.read_video(video.source.video_id) if video.source else record
        truth = PersonFrames.of_record(record, video.holdout)
        learnt = {
            shots: self._learn(video, shots, PersonFrames.of_record(source, chosen), truth)
            for shots, chosen in video.shots.items()
        }
        used = {
            "identity": video.entry.identity,
            "shots": {shots: chosen.tolist() for shots, chosen in video.shots.items()},
            "few_shot_from": source.video_id,
            "holdout": video.holdout.tolist(),
            "seconds": {shots: one.seconds for shots, one in learnt.items()},
            "stops": {shots: one.stops for shots, one in learnt.items()},
        }
        features = {}
        if "fid" in self.metrics.names:
            features[REAL] = self.metrics.features(truth.frames)
        for one in learnt.values():
            features |= one.features
        self.output.write_video(
            video_id,
            [row for one in learnt.values() for row in one.rows],
            used,
            np.concatenate([one.strip for one in learnt.values()]),
            features,
            learnt[min(learnt)].cross,
        )

    def _learn(self, video: VideoFrames, shots: int, person: PersonFrames, truth: PersonFrames) -> _Learnt:
        """Learns the person from T = `shots` frames, draws and measures the hold-out frames."""
        video_id, identity = video.entry.video_id, video.entry.identity
        drivers = []
        if self.cross and shots == min(video.shots):
            drivers = self.cross.drivers_of(identity)
        every = np.concatenate([truth.landmarks, *(driver.landmarks for driver in drivers)])
        results = self.methods.draw(person, every, truth)
        seconds = self.methods.seconds
        logging.info("%s, T = %d: seconds %s", video_id, shots, seconds)
        own = {method: frames[: len(truth)] for method, frames in results.items()}
        if self.study_frames:
            self._write_for_study(own, shots, video)
        cross = None
        if drivers:
            others = {method: frames[len(truth) :] for method, frames in results.items()}
            cross = self.cross.measure(person, others, drivers, self.facts, video_id, identity)
        measured = self._measure(own, truth)
        return _Learnt(
            rows=[
                make_row(self.facts, found, method, shots, video_id, identity=identity)
                for method, (measurements, _) in measured.items()
                for found in measurements
            ],
            features={
                feature_key(method, shots): features
                for method, (_, features) in measured.items()
                if features is not None
            },
            strip=draw_strip(self.config, person.frames[0], truth, own),
            seconds=seconds,
            stops={"curves": self.methods.curves, "best": self.methods.best_epochs},
            cross=cross,
        )

    def _measure(self, drawn: dict[str, np.ndarray], truth: PersonFrames) -> dict[str, tuple]:
        """Method -> (measurements, Inception features or None) of its frames."""
        measured: dict[str, tuple] = {}
        for method, fakes in drawn.items():
            # FT before fine-tuning drew what FF drew: the same figures, measured once.
            twin = next((m for m in measured if np.array_equal(drawn[m], fakes)), None)
            measured[method] = measured.get(twin) or (
                self.metrics.measure(truth.frames, fakes, truth.landmarks),
                self.metrics.features(fakes),
            )
        return measured

    def _write_for_study(self, drawn: dict[str, np.ndarray], shots: int, video: VideoFrames) -> None:
        """What FF and fine-tuning drew, where training.user_study finds it."""
        entry = video.entry
        for method in shown_methods(list(drawn)):
            condition = (entry.identity, method.upper(), shots, entry.video_id)
            folder = generated_folder(self.study_frames, *condition)
            save_frames(folder, drawn[method], video.holdout)

    def write_results(self, videos: list[VideoFrames], left_out: dict[str, str], training: dict) -> pathlib.Path:
        """results.jsonl and the reports of finished videos. Returns the page's path.

        Args:
          videos: all finished.
          left_out: video_id -> why it was not evaluated.
          training: of the model, see `report._budget`.
        """
        finished = self.output.read(video.entry.video_id for video in videos)
        totals = over_all_videos(finished, self.facts, self.facts["metrics"])
        self.output.write_joined("results.jsonl", finished, totals)
        if self.cross:
            self.output.write_joined("cross.jsonl", finished)
        blocks = build_blocks(self.output, self.facts, training, totals, finished, left_out)
        return write_reports(blocks, self.output.path)
