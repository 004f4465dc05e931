"""One video (or one person's photos) as one `tf.train.Example`; the schema stands only here.

    format_version   int64           FORMAT_VERSION
    video_id         bytes           unique in its dataset folder
    identity         bytes           who it is; videos of one person share it
    source           bytes           the file or folder that the frames come from
    detector         bytes           which detector found the landmarks ("mediapipe", ...)
    scheme           bytes           which points they are ("ibug68", "ibug68_gaze")
    image_size       int64           S, pixels
    num_points       int64           P
    frames           bytes [N]       JPEG, RGB, S x S
    landmarks        float [N*P*2]   (x, y) in pixels of the S x S frame, pixel centres at integers
    rejected_frames  bytes           JSON {reason: count}: frames of the source that are not here
    rejected_clips   bytes           JSON {file: reason}: clips of the video that are not here;
                                     may be missing
    kind             bytes           "video", or "photos": of one person, of different days;
                                     missing: "video"
    content          bytes           JSON of `Content`: which files the frames come from; may be
                                     missing
    identity_vectors float [N*I]     a recogniser's embedding of each frame's face (dataset.json
                                     says whose); may be missing

Records hold landmarks, never drawn images: the one rasteriser draws them in training and in the
served graph alike. TensorFlow is imported by the functions that need it and not by this module.
"""

import dataclasses
import json

import numpy as np

from tf_talking.media import jpeg

FORMAT_VERSION = 1
VIDEO, PHOTOS = "video", "photos"

_TEXTS = ("video_id", "identity", "source", "detector", "scheme")
_NUMBERS = ("format_version", "image_size", "num_points")


@dataclasses.dataclass(frozen=True)
class Content:
    """Which bytes an input's files held when they were read.

    Attributes:
      stamp: of the names, sizes and times of modification of the files; it tells quickly that
        they are as they were.
      digest: of the files' bytes, in their order; the same wherever the files lie.
    """

    stamp: str
    digest: str


@dataclasses.dataclass
class VideoRecord:
    """Frames of one person in one video, with landmarks.

    Attributes:
      frames: N JPEG images, each `image_size` square.
      landmarks: float32 [N, P, 2], (x, y) in pixels of the frames.
      rejected_frames: reason -> number of frames of the source that were left out.
      rejected_clips: of a video in several clips, file name -> why it was left out.
      kind: "video" or "photos".
      content: of the files that the frames come from; None where nobody noted it.
      identity_vectors: float32 [N, I], None where no recogniser looked at the frames.
    """

    video_id: str
    identity: str
    frames: list[bytes]
    landmarks: np.ndarray
    image_size: int
    detector: str
    scheme: str
    source: str
    rejected_frames: dict[str, int] = dataclasses.field(default_factory=dict)
    rejected_clips: dict[str, str] = dataclasses.field(default_factory=dict)
    kind: str = VIDEO
    identity_vectors: np.ndarray | None = None
    content: Content | None = None

    @property
    def num_frames(self) -> int:
        return len(self.frames)

    @property
    def num_points(self) -> int:
        return self.landmarks.shape[1]


def content_of(row: dict | None) -> Content | None:
    """`Content` out of JSON."""
    return None if row is None else Content(**row)


def decode_frames(record: VideoRecord, indices) -> np.ndarray:
    """Frames of a record as uint8 RGB [n, S, S, 3]."""
    return np.stack([jpeg.decode(record.frames[index]) for index in indices])


def check_record(record: VideoRecord) -> None:
    """Raises ValueError, naming the video and the field, where the record contradicts itself."""
    where = f"record {record.video_id!r}"
    if not record.video_id or not record.identity:
        raise ValueError(f"{where}: video_id and identity must not be empty")
    landmarks = record.landmarks
    if landmarks.dtype != np.float32 or landmarks.ndim != 3 or landmarks.shape[2] != 2:
        raise ValueError(f"{where}, landmarks: got {landmarks.dtype} {landmarks.shape}, expected float32 [N, P, 2]")
    if len(landmarks) != record.num_frames or record.num_frames == 0:
        raise ValueError(
            f"{where}: {record.num_frames} frames and {len(landmarks)} rows of landmarks, "
            "expected the same number, at least 1"
        )
    if not np.isfinite(landmarks).all():
        raise ValueError(f"{where}, landmarks: not all of them are finite")
    if record.kind not in (VIDEO, PHOTOS):
        raise ValueError(f"{where}, kind: got {record.kind!r}, expected {VIDEO!r} or {PHOTOS!r}")
    vectors = record.identity_vectors
    if vectors is not None and (vectors.ndim != 2 or len(vectors) != record.num_frames):
        raise ValueError(
            f"{where}, identity_vectors: got {vectors.shape}, expected one row a frame ({record.num_frames})"
        )


def serialize(record: VideoRecord) -> bytes:
    """Record -> bytes of a `tf.train.Example`. Raises ValueError as `check_record` does."""
    import tensorflow as tf

    check_record(record)
    feature = {name: _bytes_feature(tf, [getattr(record, name).encode()]) for name in _TEXTS}
    feature["rejected_frames"] = _bytes_feature(tf, [json.dumps(record.rejected_frames).encode()])
    if record.rejected_clips:
        feature["rejected_clips"] = _bytes_feature(tf, [json.dumps(record.rejected_clips).encode()])
    feature["frames"] = _bytes_feature(tf, record.frames)
    feature["kind"] = _bytes_feature(tf, [record.kind.encode()])
    if record.content is not None:
        feature["content"] = _bytes_feature(tf, [json.dumps(dataclasses.asdict(record.content)).encode()])
    if record.identity_vectors is not None:
        vectors = tf.train.FloatList(value=record.identity_vectors.ravel())
        feature["identity_vectors"] = tf.train.Feature(float_list=vectors)
    feature["landmarks"] = tf.train.Feature(float_list=tf.train.FloatList(value=record.landmarks.ravel()))
    numbers = (FORMAT_VERSION, record.image_size, record.num_points)
    for name, value in zip(_NUMBERS, numbers, strict=True):
        feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _bytes_feature(tf, values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def parse_example(serialized) -> dict:
    """Parses one record inside a graph; nothing is decoded.

    Args:
      serialized: string scalar tensor.

    Returns:
      Tensors by field name: `frames` string [N], `landmarks` float32 [N, P, 2],
      `identity_vectors` float32 [N, I] (I = 0 where there are none), the others scalars (string
      or int64).
    """
    import tensorflow as tf

    features = {name: tf.io.FixedLenFeature([], tf.string) for name in _TEXTS}
    features["rejected_frames"] = tf.io.FixedLenFeature([], tf.string)
    features["rejected_clips"] = tf.io.FixedLenFeature([], tf.string, default_value="{}")
    features |= {name: tf.io.FixedLenFeature([], tf.int64) for name in _NUMBERS}
    features["frames"] = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    features["kind"] = tf.io.FixedLenFeature([], tf.string, default_value=VIDEO)
    features["content"] = tf.io.FixedLenFeature([], tf.string, default_value="null")
    for name in ("landmarks", "identity_vectors"):
        features[name] = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    parsed = tf.io.parse_single_example(serialized, features)
    shape = tf.stack([tf.size(parsed["frames"], tf.int64), parsed["num_points"], 2])
    parsed["landmarks"] = tf.reshape(parsed["landmarks"], shape)
    rows, vectors = tf.size(parsed["frames"]), parsed["identity_vectors"]
    columns = tf.size(vectors) // tf.maximum(rows, 1)
    parsed["identity_vectors"] = tf.reshape(vectors, tf.stack([rows, columns]))
    return parsed


def deserialize(serialized: bytes) -> VideoRecord:
    """Bytes of one record -> VideoRecord, eagerly.

    Raises:
      ValueError: the bytes are no such record, or of another format version.
    """
    import tensorflow as tf

    try:
        parsed = {name: t.numpy() for name, t in parse_example(tf.constant(serialized)).items()}
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{len(serialized)} bytes are not a video record: {error}") from None
    if parsed["format_version"] != FORMAT_VERSION:
        raise ValueError(f"record field format_version: got {parsed['format_version']}, expected {FORMAT_VERSION}")
    return VideoRecord(
        **{name: parsed[name].decode() for name in _TEXTS},
        frames=list(parsed["frames"]),
        landmarks=parsed["landmarks"],
        image_size=int(parsed["image_size"]),
        rejected_frames=json.loads(parsed["rejected_frames"]),
        rejected_clips=json.loads(parsed["rejected_clips"]),
        kind=parsed["kind"].decode(),
        identity_vectors=parsed["identity_vectors"] if parsed["identity_vectors"].size else None,
        content=content_of(json.loads(parsed["content"])),
    )
