"""What becomes one record. No TensorFlow."""

import dataclasses

from tf_talking.files import readable


@dataclasses.dataclass(frozen=True)
class InputItem:
    """One record to be.

    Attributes:
      kind: "video" (one file), "clips" (files that are parts of one video), "frames" (images of
        one video in order) or "photos" (unrelated photos of one person).
      source: the file or folder, for messages and the manifest; it tells inputs of one name apart.
      files: the files, in order.
      boxes: for each file of kind "clips" its box file, for the one of kind "video" those of its
        clips, with times in the whole video (face_boxes.py). Empty: no boxes are used.
    """

    video_id: str
    identity: str
    kind: str
    source: str
    files: tuple[str, ...]
    boxes: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self):
        for field in ("video_id", "identity", "source"):
            object.__setattr__(self, field, readable(getattr(self, field)))
