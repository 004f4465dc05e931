"""Cross-reenactment: a person driven by other people's landmarks ("Puppeteering results").

There is no ground truth. As in the paper, driving videos are ranked by CSIM between the source
frame and the frames generated from it: high where the driver's face has a similar geometry. Each
face is aligned by its own landmarks, the source's by the source's, a generated one's by those that
drove it. The people are those of the smallest T; nobody drives himself.
"""

import dataclasses

import numpy as np

from tf_talking.config import Config
from tf_talking.dataset.folder import DatasetFolder, ManifestEntry
from tf_talking.dataset.records import decode_frames
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.metrics.face_recognition import Recogniser
from tf_talking.metrics.registry import Measurement
from tf_talking.spread import spread
from training.evaluation.folder import make_line
from training.evaluation.frames import VideoFrames
from training.evaluation.methods import FF
from training.evaluation.strips import strip_methods
from training.person.frames import PersonFrames

_SHOWN_DRIVERS = 3  # the best ones, a row each
_SHOWN_FRAMES = 2  # of each


@dataclasses.dataclass(frozen=True)
class Driver:
    """A driving video: frames uint8 [N, S, S, 3] and landmarks float32 [N, P, 2]."""

    video_id: str
    identity: str
    frames: np.ndarray
    landmarks: np.ndarray

    @classmethod
    def read(cls, folder: DatasetFolder, entry: ManifestEntry, chosen: np.ndarray) -> "Driver":
        """The frames of a video with the numbers in `chosen`."""
        record = folder.read_video(entry.video_id)
        frames, landmarks = decode_frames(record, chosen), record.landmarks[chosen]
        return cls(entry.video_id, entry.identity, frames, landmarks)


def read_drivers(
    folder: DatasetFolder, videos: list[VideoFrames], count: int, frames: int, seed: int
) -> list[Driver]:
    """Up to `count` of the videos, drawn at random, each with `frames` of its hold-out frames."""
    order = np.random.default_rng(seed).permutation(len(videos))[:count]
    return [
        Driver.read(folder, video.entry, video.holdout[spread(len(video.holdout), frames)])
        for video in (videos[i] for i in sorted(order))
    ]


@dataclasses.dataclass(frozen=True)
class CrossReenactment:
    """Ranks drivers for one person after the other."""

    config: Config
    recogniser: Recogniser
    drivers: list[Driver]

    def drivers_of(self, identity: str) -> list[Driver]:
        """Those who may drive a person: everybody else."""
        return [driver for driver in self.drivers if driver.identity != identity]

    def measure(
        self,
        person: PersonFrames,
        frames: dict[str, np.ndarray],
        drivers: list[Driver],
        facts: dict,
        name: str,
        identity: str,
    ) -> tuple[list[str], np.ndarray]:
        """(result lines, picture strip) of one person.

        Args:
          person: the few-shot frames.
          frames: method → uint8, the drivers' frames one after the other.
          drivers: in that order.
          facts: of the evaluation, for the lines.
          name, identity: the video that the person comes from, or the photo; whose it is.
        """
        ends = np.cumsum([len(driver.landmarks) for driver in drivers])[:-1]
        parts = {m: np.split(frames[m], ends) for m in strip_methods(list(frames))}
        values = {
            method: [
                self.similarity(person, fakes, driver)
                for fakes, driver in zip(own, drivers, strict=True)
            ]
            for method, own in parts.items()
        }
        lines = [
            make_line(
                facts,
                Measurement("csim", values[method][i], len(driver.landmarks)),
                method,
                len(person),
                name,
                identity=identity,
                driver=driver.video_id,
                driver_identity=driver.identity,
            )
            for method in parts
            for i, driver in enumerate(drivers)
        ]
        best = np.argsort(values[ranking_method(list(parts))])[::-1][:_SHOWN_DRIVERS]
        return lines, self._strip(person, parts, [(i, drivers[i]) for i in best])

    def similarity(self, person: PersonFrames, fakes: np.ndarray, driver: Driver) -> float:
        """Mean cosine similarity of the first source frame and generated frames, −1..1."""
        source = self.recogniser(person.frames[:1], person.landmarks[:1])
        generated = self.recogniser(fakes, driver.landmarks)
        rows = [np.asarray(e, np.float64) for e in (source, generated)]
        source, generated = (e / np.linalg.norm(e, axis=1, keepdims=True) for e in rows)
        return float((source * generated).sum(axis=1).mean())

    def _strip(self, person: PersonFrames, parts: dict, drivers: list) -> np.ndarray:
        rows = []
        for number, driver in drivers:
            for i in spread(len(driver.landmarks), _SHOWN_FRAMES):
                drawn = landmark_picture(
                    self.config.landmarks, driver.landmarks[i], self.config.model.image_size
                )
                results = [own[number][i] for own in parts.values()]
                rows.append(
                    np.concatenate([person.frames[0], driver.frames[i], drawn, *results], axis=1)
                )
        return np.concatenate(rows)


def ranking_method(methods: list[str]) -> str:
    """Whose CSIM ranks the drivers: the first fine-tuned one, else feed-forward."""
    tuned = [m for m in strip_methods(methods) if m != FF]
    return tuned[0] if tuned else FF
