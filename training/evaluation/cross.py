"""Cross-reenactment: a person driven by other people's landmarks ("Puppeteering results").

There is no ground truth. As in the paper, driving videos are ranked by CSIM between the source
frame and the frames generated from it: high where the driver's face has a similar geometry. Each
face is aligned by its own landmarks, the source's by the source's, a generated one's by those that
drove it. The people are those of the smallest T; nobody drives himself.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from tf_talking.config import Config
from tf_talking.dataset.folder import DatasetFolder, ManifestEntry
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media import panels
from tf_talking.metrics.csim import cosines
from tf_talking.metrics.face_recognition import Recogniser
from tf_talking.metrics.registry import Measurement
from tf_talking.spread import spread
from training.evaluation.lines import make_row
from training.evaluation.names import ranking_method, shown_methods
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
        video = PersonFrames.of_record(folder.read_video(entry.video_id), chosen)
        return cls(entry.video_id, entry.identity, video.frames, video.landmarks)


def read_drivers(
    folder: DatasetFolder, videos: Iterable[tuple[ManifestEntry, np.ndarray]], frames: int
) -> list[Driver]:
    """Driving videos with `frames` frames each, spread over the numbers that stand beside them."""
    return [Driver.read(folder, entry, numbers[spread(len(numbers), frames)]) for entry, numbers in videos]


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
    ) -> tuple[list[dict], np.ndarray]:
        """(rows, picture strip) of one person.

        Args:
          person: the few-shot frames.
          frames: method -> uint8, the drivers' frames one after the other.
          drivers: in that order.
          facts: of the evaluation, for the rows.
          name, identity: the video that the person comes from, or the photo; whose it is.
        """
        ends = np.cumsum([len(driver.landmarks) for driver in drivers])[:-1]
        parts = {m: np.split(frames[m], ends) for m in shown_methods(list(frames))}
        values = {
            method: [self.similarity(person, fakes, driver) for fakes, driver in zip(own, drivers, strict=True)]
            for method, own in parts.items()
        }
        rows = [
            make_row(
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
        return rows, self._strip(person, parts, [(i, drivers[i]) for i in best])

    def similarity(self, person: PersonFrames, fakes: np.ndarray, driver: Driver) -> float:
        """Mean cosine similarity of the first source frame and generated frames, −1..1."""
        source = self.recogniser(person.frames[:1], person.landmarks[:1])
        return float(cosines(source, self.recogniser(fakes, driver.landmarks)).mean())

    def _strip(self, person: PersonFrames, parts: dict, drivers: list) -> np.ndarray:
        rows = []
        for number, driver in drivers:
            for i in spread(len(driver.landmarks), _SHOWN_FRAMES):
                drawn = landmark_picture(self.config.landmarks, driver.landmarks[i], self.config.model.image_size)
                results = [own[number][i] for own in parts.values()]
                rows.append([person.frames[0], driver.frames[i], drawn, *results])
        return panels.grid(rows)
