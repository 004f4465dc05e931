"""Preview pictures: a fixed grid of people driven by landmarks of three kinds.

Columns: source frame | own video: landmarks, truth, result | another video of the same person:
landmarks, result | another person: landmarks, result. Judging only the first result hides a
generator that ignores its embedding; the last one shows it.

    previews/layout.json            which pixels are which column and whose row (`write_layout`)
    previews/step_000001000.png     the grid
    previews/step_000001000.mp4     the same people in motion (preview_film.py)

Frames are uint8 RGB, landmarks float32 in pixels of the S×S frame. A picture or a film appears
under its name only when it is whole.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np

from tf_talking import files
from tf_talking.config import Config
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import decode_frames
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media import jpeg, panels
from tf_talking.spread import spread
from training.previews.headings import draw_headings, heading_height

GRID_COLUMNS = (
    ("source", "frame"),
    ("own video", "landmarks"),
    ("own video", "truth"),
    ("own video", "result"),
    ("another video", "landmarks"),
    ("another video", "result"),
    ("another person", "landmarks"),
    ("another person", "result"),
)
LAYOUT_FILE = "layout.json"

# (frames uint8 [n, K, S, S, 3], landmarks [n, K, P, 2]) → ψ̂ [n, L]
Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]
# (landmarks [n, P, 2], ψ̂ [n, L]) → frames uint8 [n, S, S, 3]
Generate = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass
class PreviewRow:
    """One person of the previews.

    The own and the other person's track are stretches of T and T' consecutive frames; the grid
    shows the last one of each.
    """

    identity: str
    kind: str  # "video", or "photos": then the videos are a person's photos
    video_id: str
    other_video_id: str  # the same as `video_id` where the person has one video only
    other_person: str
    source_frames: np.ndarray  # [K, S, S, 3]
    source_landmarks: np.ndarray  # [K, P, 2]
    own_jpegs: list[bytes]  # T, the ground truth; decoded when it is drawn
    own_track: np.ndarray  # [T, P, 2]
    other_video_landmarks: np.ndarray  # [P, 2]
    other_person_track: np.ndarray  # [T', P, 2]


def choose_rows(
    folder: DatasetFolder, entries: list, k_shot: int, count: int, track_frames: int = 75
) -> list[PreviewRow]:
    """A fixed choice of `count` people from `entries`, the same in every run.

    Source frames are spread over the first half of a video, the driving stretch ends its second
    half, so that no ground truth is a source. Where a person has one video only, its middle frame
    stands in for another video.

    Args:
      folder: holds the entries.
      entries: accepted manifest entries, at least one.
      k_shot: K, source frames of each person.
      count: people at most.
      track_frames: frames of a driving stretch at most (25 a second).

    Raises:
      ValueError: no entries.
    """
    if not entries:
        raise ValueError(f"{folder.path}: no video to draw previews of")
    by_identity: dict[str, list] = {}
    for entry in entries:
        by_identity.setdefault(entry.identity, []).append(entry)
    people = list(by_identity.values())[:count]
    records = [folder.read_video(videos[0].video_id) for videos in people]
    rows = []
    for index, (videos, record) in enumerate(zip(people, records, strict=True)):
        half = max(len(record.frames) // 2, 1)
        sources = np.resize(spread(half, k_shot), k_shot)  # repeated where the video is short
        stretch = _stretch(record, track_frames)
        other = folder.read_video(videos[1].video_id) if len(videos) > 1 else record
        person = records[(index + 1) % len(records)]
        rows.append(
            PreviewRow(
                identity=record.identity,
                kind=record.kind,
                video_id=record.video_id,
                other_video_id=other.video_id,
                other_person=person.identity,
                source_frames=decode_frames(record, sources),
                source_landmarks=record.landmarks[sources],
                own_jpegs=record.frames[stretch],
                own_track=record.landmarks[stretch],
                other_video_landmarks=other.landmarks[len(other.landmarks) // 2],
                other_person_track=person.landmarks[_stretch(person, track_frames)],
            )
        )
    return rows


def _stretch(record, track_frames: int) -> slice:
    """The last frames of the second half; the only frame of a video of one."""
    count = len(record.frames)
    length = max(min(count - count // 2, track_frames), 1)
    return slice(count - length, count)


def draw_grid(rows: list[PreviewRow], config: Config, embed: Embed, generate: Generate) -> np.ndarray:
    """Runs the model on every row.

    Args:
      rows: from `choose_rows`.
      config: the run's Config, for how landmarks are drawn.
      embed, generate: the model.

    Returns:
      uint8 RGB [heading + len(rows) * S, 8 * S, 3], columns as GRID_COLUMNS.
    """
    adain_params = embed_rows(rows, embed)
    driving = [
        np.stack([r.own_track[-1] for r in rows]),
        np.stack([r.other_video_landmarks for r in rows]),
        np.stack([r.other_person_track[-1] for r in rows]),
    ]
    own, other_video, other_person = (np.asarray(generate(d, adain_params)) for d in driving)
    size = config.model.image_size
    lines = [draw_headings(GRID_COLUMNS, size)]
    for i, row in enumerate(rows):
        drawn = landmark_picture(config.landmarks, np.stack([d[i] for d in driving]), size)
        cells = [row.source_frames[0], drawn[0], jpeg.decode(row.own_jpegs[-1]), own[i]]
        cells += [drawn[1], other_video[i], drawn[2], other_person[i]]
        lines.append(panels.beside(cells))
    return np.concatenate(lines, axis=0)


def embed_rows(rows: list[PreviewRow], embed: Embed) -> np.ndarray:
    """ψ̂ of every row, [len(rows), L]."""
    return np.asarray(embed(np.stack([r.source_frames for r in rows]), np.stack([r.source_landmarks for r in rows])))


def write_layout(folder: pathlib.Path, rows: list[PreviewRow], config: Config) -> None:
    """Writes layout.json: cell size and heading height in pixels, columns, whose rows."""
    size = config.model.image_size
    names = ("identity", "kind", "video_id", "other_video_id", "other_person")
    layout = {
        "cell": size,
        "heading": heading_height(size),
        "columns": [list(column) for column in GRID_COLUMNS],
        "rows": [{name: getattr(row, name) for name in names} for row in rows],
    }
    files.write_whole(folder / LAYOUT_FILE, json.dumps(layout, indent=2) + "\n")
