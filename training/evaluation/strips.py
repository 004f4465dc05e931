"""Picture strips of an evaluation: rows are frames, columns what is compared."""

import numpy as np

from tf_talking.config import Config
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media import panels
from training.evaluation.names import shown_methods
from training.person.frames import PersonFrames


def draw_strip(
    config: Config, source: np.ndarray, truth: PersonFrames, frames: dict[str, np.ndarray], count: int = 2
) -> np.ndarray:
    """The rows of one T: uint8 [rows * S, columns * S, 3].

    Args:
      config: of the model.
      source: one few-shot frame, uint8 [S, S, 3].
      truth: the hold-out frames.
      frames: method -> uint8 [N, S, S, 3].
      count: hold-out frames shown, each a row.
    """
    shown = np.unique(np.linspace(0, len(truth) - 1, count + 2).round().astype(int)[1:-1])
    drawn = landmark_picture(config.landmarks, truth.landmarks[shown], config.model.image_size)
    results = [frames[method][shown] for method in shown_methods(list(frames))]
    columns = zip(drawn, truth.frames[shown], *results, strict=True)
    return panels.grid([source, *pictures] for pictures in columns)
