"""Feed-forward against the nearest source frame, over people never seen in training:

    python -m benchmarks.unseen_people --run demo/run

Procedural people of one run's config: T = 8 frames of one second of one video against all frames
of another video of the same person. The last line is JSON.
"""

import numpy as np
from absl import flags

from benchmarks.measuring.result import result
from tf_talking import program
from tf_talking.dataset.records import decode_frames
from tf_talking.landmarks.nearest import nearest_source
from tf_talking.metrics import registry
from tf_talking.networks.meta_checkpoint import load_meta_learned
from tf_talking.procedural import render as procedural
from tf_talking.spread import spread

FLAGS = flags.FLAGS
SOURCE_FRAMES, SOURCE_VIDEO_FRAMES, DRIVING_FRAMES = 8, 24, 75


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_string("run", "demo/run", "Run folder, trained on procedural people.")
    flags.DEFINE_integer("people", 12, "How many.", lower_bound=1)
    flags.DEFINE_integer("first_identity", 1_000_000, "Of the first one.", lower_bound=500_000)


def main(argv):
    learned = load_meta_learned(FLAGS.run)
    size = learned.config.model.image_size
    rows = []
    for person in range(FLAGS.first_identity, FLAGS.first_identity + FLAGS.people):
        source = procedural.render_video(person, SOURCE_VIDEO_FRAMES, size, 0)
        driving = procedural.render_video(person, DRIVING_FRAMES, size, 1)
        chosen = spread(SOURCE_VIDEO_FRAMES, SOURCE_FRAMES)
        frames, landmarks = decode_frames(source, chosen), source.landmarks[chosen]
        truth = decode_frames(driving, range(DRIVING_FRAMES))
        nearest = frames[nearest_source(landmarks, driving.landmarks)]
        psi = learned.project_person(learned.embed_person(frames, landmarks))
        drawn = learned.draw(driving.landmarks, psi).numpy()
        rows.append([registry.compute("l1", truth, f) for f in (nearest, drawn)])
        print(f"person {person}: nearest source {rows[-1][0]:.4f}, feed-forward {rows[-1][1]:.4f}")
    nearest, ours = np.mean(rows, axis=0)
    print(f"mean L1: nearest source {nearest:.4f}, feed-forward {ours:.4f}")
    return result(
        {
            "step": learned.step,
            "people": len(rows),
            "nearest_source_l1": nearest,
            "feed_forward_l1": ours,
            "feed_forward_wins": sum(b < a for a, b in rows),
        }
    )


if __name__ == "__main__":
    program.run(main, define_flags)
