import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.faces import film, painted, portrait
from tf_talking.landmarks.detectors import get_detector
from tf_talking.landmarks.mediapipe_detector import MESH_TO_IBUG68
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import Identity, render_raw

LEFT_RIGHT = (  # pairs of iBUG points that mirror each other
    [(i, 16 - i) for i in range(8)]
    + [(17 + i, 26 - i) for i in range(5)]
    + [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    + [(48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)]
)
MIDDLE = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """A person facing the camera, 384 pixels wide, who moves by a pixel a frame."""
    return [np.ascontiguousarray(np.roll(portrait(384), k, axis=1)) for k in range(5)]


@pytest.fixture(scope="module")
def photo_detector():
    with get_detector("mediapipe", "ibug68_gaze", video=False) as detector:
        yield detector


def test_table_names_each_vertex_once():
    assert len(MESH_TO_IBUG68) == len(set(MESH_TO_IBUG68)) == 68
    assert max(MESH_TO_IBUG68) < 468


def test_points_stand_where_the_scheme_says(frames, photo_detector):
    points = photo_detector.detect(frames[:1])[0].landmarks
    assert points.shape == (70, 2) and points.dtype == np.float32
    assert (points > 0).all() and (points < 384).all()
    x, y = points.T
    assert (np.diff(x[1:16]) > 0).all() and x[0] < x[16], "jaw runs from image left to image right"
    assert y[8] == y[:68].max() and y[0] < y[4] < y[8] > y[12] > y[16]
    assert (np.diff(x[17:27]) > 0).all(), "brows"
    assert (np.diff(y[27:31]) > 0).all() and (np.diff(x[31:36]) > 0).all(), "nose"
    for first, brow in ((36, 19), (42, 24)):
        outer, upper, lower, inner = x[first], y[first + 1], y[first + 5], x[first + 3]
        assert outer < inner and upper < lower and y[brow] < upper
    assert x[39] < x[27] < x[42], "the nose lies between the eyes"
    assert x[48] < x[51] < x[54] and y[50] < y[62] <= y[66] < y[57], "lips"
    assert x[36] < x[68] < x[39] and x[42] < x[69] < x[45], "irises within the eyes"


def test_left_and_right_correspond(frames, photo_detector):
    """The mirrored picture gives the mirrored points under the exchange of left and right."""
    points = photo_detector.detect(frames[:1])[0].landmarks
    mirrored = photo_detector.detect([np.ascontiguousarray(frames[0][:, ::-1])])[0].landmarks
    swap = np.arange(70)
    for a, b in [*LEFT_RIGHT, (68, 69)]:
        swap[[a, b]] = b, a
    assert sorted({i for pair in LEFT_RIGHT for i in pair} | set(MIDDLE)) == list(range(68))
    back = np.stack([383 - mirrored[swap, 0], mirrored[swap, 1]], -1)
    assert np.abs(back - points).mean() < 3  # pixels; the face is 230 wide


def test_points_agree_with_a_68_point_network(frames, photo_detector, shared_file):
    """PFLD, trained on iBUG points, with OpenCV."""
    network = shared_file("weights/pfld_68.onnx")
    points = photo_detector.detect(frames[:1])[0].landmarks[:68]
    low, high = points.min(0), points.max(0)
    scale = 112 / (1.2 * (high - low).max())
    matrix = np.hstack([np.eye(2) * scale, (56 - scale * (low + high) / 2)[:, None]])
    cut = cv2.warpAffine(frames[0], matrix, (112, 112), flags=cv2.INTER_AREA)
    net = cv2.dnn.readNetFromONNX(str(network))
    net.setInput(cv2.dnn.blobFromImage(cut, 1 / 255))
    outputs = net.forward(net.getUnconnectedOutLayersNames())
    (reference,) = (out for out in outputs if out.size == 136)
    reference = (reference.reshape(68, 2) * 112 - matrix[:, 2]) / scale
    eyes = np.linalg.norm(points[36] - points[45])
    distance = np.linalg.norm(points - reference, axis=1) / eyes
    assert distance.mean() < 0.06 and distance.max() < 0.2


def test_video_gives_one_face_a_frame_and_reset_forgets(frames):
    with get_detector("mediapipe") as detector:
        first = detector.detect(frames)
        assert [found.landmarks.shape for found in first] == [(68, 2)] * 5
        detector.reset()
        again = detector.detect(frames)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.landmarks, b.landmarks)


def test_wide_pictures_are_not_distorted(frames, photo_detector):
    wide = cv2.copyMakeBorder(frames[0], 0, 0, 200, 300, cv2.BORDER_REPLICATE)
    points = photo_detector.detect(frames[:1])[0].landmarks
    moved = photo_detector.detect([wide])[0].landmarks - (200, 0)
    assert np.abs(moved - points).mean() < 3


def test_painted_people_are_found_where_they_were_painted(photo_detector):
    for person in range(4):
        identity, (pose,) = Identity.sample(person), pose_track((person, 0), 1)
        picture, painted_points = render_raw(identity, pose, 256)
        points = photo_detector.detect([picture])[0].landmarks[:68]
        size = np.ptp(painted_points, axis=0).max()
        assert np.linalg.norm(points - painted_points, axis=1).mean() < 0.06 * size


def test_nobody_and_several_people_have_reasons(photo_detector):
    y, x = np.mgrid[0:300, 0:400]
    landscape = np.stack([120 + 0 * x, 180 - y // 4, 250 - y // 2], -1).astype(np.uint8)
    people = [portrait(300), painted(1, 1, 300)[0]]
    assert all(found.landmarks is not None for found in photo_detector.detect(people))
    nobody, two = photo_detector.detect([landscape, np.hstack(people)])
    assert (nobody.landmarks, nobody.reason) == (None, "no face")
    assert (two.landmarks, two.reason) == (None, "several faces (2)")


def test_wrong_arguments_are_refused(photo_detector):
    with pytest.raises(ValueError, match="'coco'.*ibug68"):
        get_detector("mediapipe", "coco")
    with pytest.raises(ValueError, match="float64"):
        photo_detector.detect([np.zeros((64, 64, 3))])


def test_silent_and_without_tensorflow(repo_root, tmp_path):
    code = (
        "import sys\n"
        "from tf_talking.media import video_reader\n"
        "from tf_talking.landmarks.detectors import get_detector\n"
        "with get_detector('mediapipe') as detector:\n"
        "    frame = next(video_reader.read_frames(sys.argv[1]))\n"
        "    assert detector.detect([frame * 0, frame])[1].landmarks is not None\n"
        "    detector.reset()\n"
        "    detector.detect([frame])\n"
        "assert 'tensorflow' not in sys.modules\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('tensorflow') is not None, 'still to be had'\n"
    )
    clip = film(tmp_path / "clip.mp4", [portrait()])
    done = subprocess.run([sys.executable, "-c", code, str(clip)], cwd=repo_root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
