"""Face recognisers for CSIM: a Keras or ONNX file, or one of InsightFace's packs by name.

Conventions: faces are aligned by a similarity transform of five points (eyes, nose tip, mouth
corners) to ArcFace's template in 112 x 112 pixels; a network of 96 pixels' width gets the middle.
A `.keras` file takes RGB 0..255, its scaling inside (MobileFaceNet). An `.onnx` file takes NCHW
RGB, (x − 127.5) / 127.5, as ArcFace's published ones do, and runs in OpenCV.
"""

import pathlib
from collections.abc import Callable

import cv2
import numpy as np

from tf_talking.content.arcface import SIDE, TEMPLATE

Recogniser = Callable[[np.ndarray, np.ndarray], np.ndarray]


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """68 iBUG points [N, 68, 2] -> left and right eye in the picture, nose tip, mouth corners."""
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1] < 68 or landmarks.shape[2] != 2:
        raise ValueError(f"landmarks: got {landmarks.shape}, expected [N, 68, 2]")
    eyes = [landmarks[:, 36:42].mean(axis=1), landmarks[:, 42:48].mean(axis=1)]
    return np.stack([*eyes, landmarks[:, 30], landmarks[:, 48], landmarks[:, 54]], axis=1)


def similarity_transform(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift [2, 3] that takes `points` [P, 2] nearest to `target`.

    Least squares; no mirroring.
    """
    a, b = points - points.mean(axis=0), target - target.mean(axis=0)
    # As complex numbers, turning and scaling is one factor.
    a, b = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    factor = (a.conj() * b).sum() / max((np.abs(a) ** 2).sum(), 1e-12)
    matrix = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    shift = target.mean(axis=0) - matrix @ points.mean(axis=0)
    return np.concatenate([matrix, shift[:, np.newaxis]], axis=1)


def align_faces(frames: np.ndarray, landmarks: np.ndarray, width: int = SIDE) -> np.ndarray:
    """uint8 [N, H, W, 3] and landmarks [N, 68, 2] -> aligned faces uint8 [N, 112, width, 3]."""
    target = TEMPLATE - ((SIDE - width) / 2, 0.0)
    return np.stack(
        [
            cv2.warpAffine(frame, similarity_transform(points, target), (width, SIDE))
            for frame, points in zip(frames, five_points(landmarks), strict=True)
        ]
    )


def load_recogniser(name: str | pathlib.Path, batch_size: int = 32) -> Recogniser:
    """The function that `csim` needs: frames uint8 [N, H, W, 3], landmarks -> embeddings [N, D].

    Args:
      name: path of a `.keras` or `.onnx` file; "sface", which the project brings; or the name of
        an InsightFace pack ("buffalo_l"), which needs the package `insightface` and downloads the
        pack on first use.
      batch_size: faces that the network gets at once.

    Raises:
      FileNotFoundError: no such file.
      ValueError: the file can not be read, or is another kind of network.
      RuntimeError: a name, and InsightFace is not installed.
    """
    path = pathlib.Path(name)
    loaders = {".keras": _load_keras, ".onnx": _load_onnx}
    if str(name) == "sface":
        width, embed = _load_sface()
    elif path.suffix not in loaders:
        width, embed = _load_insightface(str(name))
    elif not path.is_file():
        raise FileNotFoundError(f"recogniser: no file at {path}")
    else:
        width, embed = loaders[path.suffix](path)

    def recogniser(frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        faces = align_faces(frames, landmarks, width)
        parts = range(0, len(faces), batch_size)
        return np.concatenate([embed(faces[i : i + batch_size]) for i in parts])

    return recogniser


def _load_keras(path: pathlib.Path):
    import keras  # here: whoever uses an .onnx file needs no TensorFlow

    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras reports damaged files by many types of exception
        raise ValueError(f"{path}: not a readable .keras model ({error})") from error
    shape = model.input_shape
    if shape not in ((None, SIDE, SIDE, 3), (None, SIDE, 96, 3)):
        raise ValueError(f"{path}: got input {shape}, expected [B, 112, 112 or 96, 3]")
    return shape[2], lambda faces: model(faces.astype(np.float32), training=False).numpy()


def _load_onnx(path: pathlib.Path, scale: float = 1 / 127.5, mean: float = 127.5):
    try:
        network = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise ValueError(f"{path}: not an ONNX file that OpenCV can read ({error})") from error

    def embed(faces: np.ndarray) -> np.ndarray:
        # One by one: published files are often fixed to a batch of one.
        rows = []
        for face in faces:
            network.setInput(cv2.dnn.blobFromImage(face, scale, mean=(mean,) * 3))
            rows.append(network.forward().reshape(-1).copy())
        return np.stack(rows)

    return SIDE, embed


def _load_sface():
    from tf_talking.content import sface  # its file alone: no TensorFlow

    return _load_onnx(sface.FILE, scale=1.0, mean=0.0)  # scaling is inside


def _load_insightface(name: str):
    try:
        from insightface import model_zoo
    except ImportError:
        raise RuntimeError(
            f"recogniser {name!r}: not a .keras or .onnx file, and the package insightface, which "
            "knows recognisers by name, is not installed"
        ) from None
    model = model_zoo.get_model(name, download=True)
    # It takes BGR, as OpenCV reads pictures.
    return SIDE, lambda faces: model.get_feat([face[..., ::-1] for face in faces])
