"""The in-graph rasteriser beside OpenCV: `python -m benchmarks.rasterizer`.

Interleaved in one run: milliseconds a frame of both, their ratio, and the share of pixels on which
they agree. The last line is JSON.
"""

import json
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from tf_talking.landmarks.draw import draw_landmarks
from tf_talking.landmarks.rasterizer import rasterize
from tf_talking.procedural import render as procedural

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 256, "Pixels.", lower_bound=16)
flags.DEFINE_integer("frames", 40, "Landmark sets.", lower_bound=1)
flags.DEFINE_integer("line_thickness", 2, "Pixels.", lower_bound=1)


def main(_):
    size, thickness = FLAGS.image_size, FLAGS.line_thickness
    track = procedural.render_video(0, FLAGS.frames, size).landmarks

    @tf.function(input_signature=[tf.TensorSpec([None, 68, 2], tf.float32)])
    def draw(landmarks):
        return rasterize(landmarks, size, line_thickness=thickness)

    draw(track[:1])
    ours, theirs, equal, on_lines = [], [], [], []
    for landmarks in track:
        start = time.perf_counter()
        a = draw(landmarks[None])[0].numpy()
        middle = time.perf_counter()
        b = draw_landmarks(landmarks, size, line_thickness=thickness)
        theirs.append(time.perf_counter() - middle)
        ours.append(middle - start)
        same, lines = (a == b).all(-1), b.any(-1)
        equal.append(same.mean())
        on_lines.append(same[lines].mean())
    figures = {
        "image_size": size,
        "line_thickness": thickness,
        "frames": len(track),
        "graph_ms": round(1e3 * float(np.median(ours)), 3),
        "opencv_ms": round(1e3 * float(np.median(theirs)), 3),
        "ratio": round(float(np.median(ours) / np.median(theirs)), 1),
        "equal_pixels": float(np.mean(equal)),
        "equal_line_pixels": float(np.mean(on_lines)),
    }
    print(f"in the graph {figures['graph_ms']} ms, OpenCV {figures['opencv_ms']} ms a frame")
    print(json.dumps(figures))


if __name__ == "__main__":
    app.run(main)
