"""Preview pictures: a fixed grid of people driven by landmarks of three kinds.

Columns: source frame | own landmarks, ground truth, result | landmarks of another video of the
same person, result | landmarks of another person, result. Judging only the first result hides a
generator that ignores its embedding; the last one shows it.
"""

import dataclasses

import numpy as np

from tf_talking.data.dataset_folder import DatasetFolder
from tf_talking.data.records import decode_frames
from tf_talking.landmarks.draw import draw_landmarks


@dataclasses.dataclass
class PreviewRow:
    """One person of the grid; landmarks [P, 2] in pixels, frames uint8 [S, S, 3]."""

    source_frames: np.ndarray  # [K, S, S, 3]
    source_landmarks: np.ndarray  # [K, P, 2]
    own_frame: np.ndarray
    own_landmarks: np.ndarray
    other_video_landmarks: np.ndarray
    other_person_landmarks: np.ndarray


def choose_rows(folder: DatasetFolder, entries: list, k_shot: int, count: int) -> list[PreviewRow]:
    """A fixed choice of `count` people from `entries`, the same in every run.

    Source frames are spread over the first part of a video; the driving frame is its last one.
    Where a person has one video only, its middle frame stands in for another video.
    """
    by_identity: dict[str, list] = {}
    for entry in entries:
        by_identity.setdefault(entry.identity, []).append(entry)
    people = list(by_identity.values())[:count]
    records = [folder.read_video(videos[0].video_id) for videos in people]
    rows = []
    for index, (videos, record) in enumerate(zip(people, records, strict=True)):
        last = len(record.frames) - 1
        sources = np.linspace(0, max(last - 1, 0), k_shot).round().astype(int)
        other = folder.read_video(videos[1].video_id) if len(videos) > 1 else record
        person = records[(index + 1) % len(records)]
        rows.append(
            PreviewRow(
                decode_frames(record, sources),
                record.landmarks[sources],
                decode_frames(record, [last])[0],
                record.landmarks[last],
                other.landmarks[len(other.landmarks) // 2],
                person.landmarks[-1],
            )
        )
    return rows


def draw_grid(rows: list[PreviewRow], config, embed, generate) -> np.ndarray:
    """Runs the model on every row and returns one uint8 RGB picture.

    Args:
      rows: from `choose_rows`.
      config: the run's Config, for how landmarks are drawn.
      embed: (frames uint8 [n, K, S, S, 3], landmarks [n, K, P, 2]) → ψ̂ [n, L].
      generate: (landmarks [n, P, 2], ψ̂ [n, L]) → frames uint8 [n, S, S, 3].
    """
    adain_params = embed(
        np.stack([r.source_frames for r in rows]), np.stack([r.source_landmarks for r in rows])
    )
    driving = [
        np.stack([getattr(r, name) for r in rows])
        for name in ("own_landmarks", "other_video_landmarks", "other_person_landmarks")
    ]
    own, other_video, other_person = (np.asarray(generate(d, adain_params)) for d in driving)
    lines = []
    for i, row in enumerate(rows):
        drawn = [
            draw_landmarks(
                d[i],
                config.model.image_size,
                scheme=config.landmarks.scheme,
                line_thickness=config.landmarks.line_thickness,
                inner_lips=config.landmarks.inner_lips,
            )
            for d in driving
        ]
        cells = [row.source_frames[0], drawn[0], row.own_frame, own[i]]
        cells += [drawn[1], other_video[i], drawn[2], other_person[i]]
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate(lines, axis=0)
