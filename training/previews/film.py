"""The preview people in motion, as H.264: the same stretch of landmarks in every run.

One row a person, columns: source frame | own video: landmarks, truth, result | another person:
landmarks, result. Each moment is one call of the generator: memory does not grow with the length.
"""

import pathlib

import numpy as np

from tf_talking.config import Config
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media import jpeg, panels
from tf_talking.media.photos import write_png
from tf_talking.media.video_reader import DEFAULT_FPS
from tf_talking.media.video_writer import VideoWriter
from training.previews.grid import Embed, Generate, PreviewRow, draw_grid, embed_rows, write_layout
from training.previews.headings import draw_headings

FILM_COLUMNS = (
    ("source", "frame"),
    ("own video", "landmarks"),
    ("own video", "truth"),
    ("own video", "result"),
    ("another person", "landmarks"),
    ("another person", "result"),
)
_SHORTEST = int(2 * DEFAULT_FPS)  # frames; shorter stretches are played to and fro


def write_film(path: pathlib.Path, rows: list[PreviewRow], config: Config, embed: Embed, generate: Generate) -> None:
    """Writes the film, as long as the longest stretch and two seconds at least.

    Args:
      path: an .mp4; appears when it is whole.
      rows: from `choose_rows`.
      config: the run's Config, for how landmarks are drawn.
      embed, generate: the model.
    """
    size = config.model.image_size
    adain_params = embed_rows(rows, embed)
    both = np.concatenate([adain_params, adain_params])
    headings = draw_headings(FILM_COLUMNS, size)
    longest = max(max(len(r.own_track), len(r.other_person_track)) for r in rows)
    with VideoWriter(path) as writer:
        for moment in range(max(longest, _SHORTEST)):
            own = [r.own_track[to_and_fro(moment, len(r.own_track))] for r in rows]
            other = [r.other_person_track[to_and_fro(moment, len(r.other_person_track))] for r in rows]
            results = np.asarray(generate(np.stack(own + other), both))
            lines = [headings]
            for i, row in enumerate(rows):
                truth = jpeg.decode(row.own_jpegs[to_and_fro(moment, len(row.own_jpegs))])
                drawn = landmark_picture(config.landmarks, np.stack([own[i], other[i]]), size)
                cells = [row.source_frames[0], drawn[0], truth, results[i]]
                cells += [drawn[1], results[len(rows) + i]]
                lines.append(panels.beside(cells))
            writer.write(np.concatenate(lines, axis=0))


def to_and_fro(moment: int, length: int) -> int:
    """Index into `length` frames that runs forwards, then backwards, and so on."""
    period = max(2 * length - 2, 1)
    return min(moment % period, period - moment % period) if length > 1 else 0


def write_previews(
    folder: pathlib.Path,
    step: int,
    rows: list[PreviewRow],
    config: Config,
    embed: Embed,
    generate: Generate,
    film: bool = True,
) -> np.ndarray:
    """Writes step_000001000.png, layout.json and, where asked for, step_000001000.mp4.

    Returns:
      The grid, uint8 RGB, for TensorBoard.
    """
    grid = draw_grid(rows, config, embed, generate)
    write_layout(folder, rows, config)
    write_png(folder / f"step_{step:09d}.png", grid)
    if film:
        write_film(folder / f"step_{step:09d}.mp4", rows, config, embed, generate)
    return grid
