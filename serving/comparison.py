"""Self-reenactment through a server: people's cards against ground truth and a baseline.

Basics: a card's person is driven by the landmarks of a video of the same person that gave no
source frame; the result is compared with that video's frames. The baseline answers with the
source frame whose landmarks are nearest.
"""

import dataclasses
import pathlib

import cv2
import numpy as np

from serving.client import TalkingHeadClient
from tf_talking.data.records import VideoRecord, decode_jpeg
from tf_talking.landmarks.draw import draw_landmarks
from tf_talking.metrics import registry
from tf_talking.person_card import PersonCard

METRICS = ("l1", "ssim")
NEAREST = "nearest_source"


@dataclasses.dataclass
class Comparison:
    """Frames uint8 [N, S, S, 3] by method, and each method's mean error by metric."""

    landmarks: np.ndarray
    ground_truth: np.ndarray
    frames: dict[str, np.ndarray]
    errors: dict[str, dict[str, float]]
    line_thickness: int = 2


def nearest_source(sources: np.ndarray, drivings: np.ndarray) -> np.ndarray:
    """Index of the source landmarks [T, P, 2] nearest to each of [N, P, 2]; crops are aligned."""
    distance = np.linalg.norm(drivings[:, None] - sources[None], axis=-1).mean(-1)  # [N, T]
    return distance.argmin(axis=1)


def source_indices(source: VideoRecord, num_sources: int) -> np.ndarray:
    """Which frames `training.finetune --dataset` takes: spread evenly over the video."""
    if num_sources >= source.num_frames:
        return np.arange(source.num_frames)
    return np.linspace(0, source.num_frames - 1, num_sources).round().astype(int)


def without_frames(record: VideoRecord, indices: np.ndarray) -> VideoRecord:
    """The record less some of its frames: what is left to be measured on."""
    kept = np.setdiff1d(np.arange(record.num_frames), indices)
    return dataclasses.replace(
        record, frames=[record.frames[i] for i in kept], landmarks=record.landmarks[kept]
    )


def compare(
    source: VideoRecord,
    driving: VideoRecord,
    num_sources: int,
    cards: dict[str, pathlib.Path],
    server: str,
) -> Comparison:
    """Animates every card with `driving`'s landmarks and measures it against its frames.

    Args:
      source: the video that the cards were made from.
      driving: another video of the person.
      num_sources: how many frames of `source`, evenly spread, the cards were made from.
      cards: method's name → person card.
      server: HOST:PORT.
    """
    chosen = source_indices(source, num_sources)
    truth = np.stack([decode_jpeg(frame) for frame in driving.frames])
    nearest = chosen[nearest_source(source.landmarks[chosen], driving.landmarks)]
    frames = {NEAREST: np.stack([decode_jpeg(source.frames[i]) for i in nearest])}
    thickness = 2
    with TalkingHeadClient(server) as client:
        client.wait_until_ready()
        for name, path in cards.items():
            card = PersonCard.load(path)
            thickness = int(card.extra.get("line_thickness", 2))
            frames[name] = np.stack(list(client.animate(driving.landmarks, card)))
    errors = {
        name: {metric: registry.compute(metric, truth, result) for metric in METRICS}
        for name, result in frames.items()
    }
    return Comparison(driving.landmarks, truth, frames, errors, thickness)


def write_sheet(
    comparison: Comparison, path: pathlib.Path, columns: int = 8, scale: int = 2
) -> None:
    """Rows: source (the nearest one), landmarks, ground truth, then each card's frames."""
    count = len(comparison.ground_truth)
    chosen = np.linspace(0, count - 1, min(columns, count)).round().astype(int)
    size = comparison.ground_truth.shape[1]
    drawn = np.stack(
        [
            draw_landmarks(points, size, line_thickness=comparison.line_thickness)
            for points in comparison.landmarks[chosen]
        ]
    )
    others = [f for name, f in comparison.frames.items() if name != NEAREST]
    rows = [comparison.frames[NEAREST][chosen], drawn, comparison.ground_truth[chosen]]
    rows += [frames[chosen] for frames in others]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    sheet = cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: the picture could not be written")


def format_table(comparison: Comparison) -> str:
    """The errors as a text table."""
    lines = [f"{'':<16}" + "".join(f"{metric.upper():>10}" for metric in METRICS)]
    for name, errors in comparison.errors.items():
        values = "".join(f"{errors[metric]:>10.4f}" for metric in METRICS)
        lines.append(f"{name.replace('_', ' '):<16}{values}")
    return "\n".join(lines)
