"""Self-reenactment through a server: people's cards against ground truth and a baseline.

Basics: a card's person is driven by the landmarks of a video of the same person that gave no
source frame; the result is compared with that video's frames. The baseline answers with the
source frame whose landmarks are nearest.
"""

import dataclasses
import pathlib

import numpy as np

from serving.client.blocking import TalkingHeadClient, TlsOptions
from tf_talking.config import LandmarkConfig
from tf_talking.dataset.records import VideoRecord, decode_frames
from tf_talking.landmarks.draw import drawing_of, landmark_picture
from tf_talking.landmarks.nearest import nearest_source
from tf_talking.media.panels import grid, scaled
from tf_talking.media.photos import write_png
from tf_talking.metrics import registry
from tf_talking.people.card import PersonCard
from tf_talking.spread import spread
from tf_talking.text_table import text_table

METRICS = ("l1", "ssim")
NEAREST = "nearest_source"


@dataclasses.dataclass
class Comparison:
    """Frames uint8 [N, S, S, 3] by method, and each method's mean error by metric."""

    landmarks: np.ndarray
    ground_truth: np.ndarray
    frames: dict[str, np.ndarray]
    errors: dict[str, dict[str, float]]
    drawing: LandmarkConfig = LandmarkConfig()


def without_frames(record: VideoRecord, indices: np.ndarray) -> VideoRecord:
    """The record less some of its frames: what is left to be measured on."""
    kept = np.setdiff1d(np.arange(record.num_frames), indices)
    return dataclasses.replace(record, frames=[record.frames[i] for i in kept], landmarks=record.landmarks[kept])


def compare(
    source: VideoRecord,
    driving: VideoRecord,
    num_sources: int,
    cards: dict[str, pathlib.Path],
    server: str,
    tls: TlsOptions | None = None,
) -> Comparison:
    """Animates every card with `driving`'s landmarks and measures it against its frames.

    Args:
      source: the video that the cards were made from.
      driving: another video of the person.
      num_sources: how many frames of `source`, evenly spread, the cards were made from.
      cards: method's name -> person card.
      server: HOST:PORT, or whatever the client takes.
      tls: how to speak TLS; None: plain text.
    """
    chosen = spread(source.num_frames, num_sources)
    truth = decode_frames(driving, range(driving.num_frames))
    nearest = chosen[nearest_source(source.landmarks[chosen], driving.landmarks)]
    frames = {NEAREST: decode_frames(source, nearest)}
    drawing = LandmarkConfig()
    with TalkingHeadClient(server, tls=tls) as client:
        client.wait_until_ready()
        for name, path in cards.items():
            card = PersonCard.load(path)
            drawing = drawing_of(card)
            frames[name] = np.stack(list(client.animate(driving.landmarks, card)))
    errors = {
        name: {metric: registry.compute(metric, truth, result) for metric in METRICS} for name, result in frames.items()
    }
    return Comparison(driving.landmarks, truth, frames, errors, drawing)


def write_sheet(comparison: Comparison, path: pathlib.Path, columns: int = 8, scale: int = 2) -> None:
    """Rows: source (the nearest one), landmarks, ground truth, then each card's frames."""
    chosen = spread(len(comparison.ground_truth), columns)
    size = comparison.ground_truth.shape[1]
    drawn = landmark_picture(comparison.drawing, comparison.landmarks[chosen], size)
    others = [frames[chosen] for name, frames in comparison.frames.items() if name != NEAREST]
    nearest, truth = comparison.frames[NEAREST][chosen], comparison.ground_truth[chosen]
    sheet = grid([nearest, drawn, truth, *others])
    height, width = sheet.shape[:2]
    write_png(path, scaled(sheet, scale * width, scale * height))


def format_table(comparison: Comparison) -> str:
    """The errors as a text table."""
    rows = [
        [name.replace("_", " "), *(f"{errors[metric]:.4f}" for metric in METRICS)]
        for name, errors in comparison.errors.items()
    ]
    return text_table(["", *(metric.upper() for metric in METRICS)], rows)
