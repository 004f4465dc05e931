"""The in-graph rasteriser beside OpenCV: `python -m benchmarks.rasterizer`.

Interleaved in one run: milliseconds a frame of both, their ratio, and the share of pixels on which
they agree. The last line is JSON.
"""

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring.result import result
from benchmarks.measuring.turns import medians, time_in_turns
from tf_talking import program
from tf_talking.landmarks.draw import draw_landmarks
from tf_talking.landmarks.rasterizer import rasterize
from tf_talking.procedural import render as procedural

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_integer("image_size", 256, "Pixels.", lower_bound=16)
    flags.DEFINE_integer("frames", 40, "Landmark sets.", lower_bound=1)
    flags.DEFINE_integer("line_thickness", 2, "Pixels.", lower_bound=1)


def main(argv):
    size, thickness = FLAGS.image_size, FLAGS.line_thickness
    track = procedural.render_video(0, FLAGS.frames, size).landmarks

    @tf.function(input_signature=[tf.TensorSpec([None, 68, 2], tf.float32)])
    def in_graph(landmarks):
        return rasterize(landmarks, size, line_thickness=thickness)

    draw = {
        "graph": lambda landmarks: in_graph(landmarks[np.newaxis])[0].numpy(),
        "opencv": lambda landmarks: draw_landmarks(landmarks, size, line_thickness=thickness),
    }
    drawn = {name: [] for name in draw}

    def draw_next(name: str):
        count = len(drawn[name])
        drawn[name].append(draw[name](track[count % len(track)]))

    seconds = time_in_turns({name: lambda n=name: draw_next(n) for name in draw}, len(track))
    ours, theirs = (np.stack(drawn[name][1:]) for name in draw)
    same = (ours == theirs).all(-1)
    milliseconds = medians(seconds, 1e3)
    return result(
        {
            "image_size": size,
            "line_thickness": thickness,
            "frames": len(track),
            **{f"{name}_ms": value for name, value in milliseconds.items()},
            "ratio": milliseconds["graph"] / milliseconds["opencv"],
            "equal_pixels": same.mean(),
            "equal_line_pixels": same[theirs.any(-1)].mean(),
        }
    )


if __name__ == "__main__":
    program.run(main, define_flags)
