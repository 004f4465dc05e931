"""Frames and landmarks of one person for fine-tuning: from photos, a video or a dataset folder."""

import dataclasses
import pathlib

import numpy as np
from absl import logging

from tf_talking.config import Config
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.extraction.extract import ExtractSettings
from tf_talking.files import readable
from tf_talking.landmarks import crop
from tf_talking.landmarks.detectors import get_detector
from tf_talking.landmarks.search import detect_in_photos
from tf_talking.media import photos
from tf_talking.media.video_reader import read_frames
from tf_talking.spread import spread
from training.person.frames import PersonFrames

MIN_FACE = ExtractSettings.min_face  # pixels; preprocessing's own limit
_SHOWN = 20
# Heads that are kept while a video is read: a long one has far more than memory.
_KEPT, _KEPT_AT_LEAST = 16, 128


@dataclasses.dataclass(frozen=True)
class PersonSource:
    """Where the frames of a person come from: one of `photos`, `video` and `dataset`.

    Attributes:
      photos: folder of photos, or one photo.
      video: a video of the person.
      dataset, video_id: dataset folder, and which of its videos.
      num_frames: T: frames taken at most.
      min_face: pixels that a face must have in a photo or video.
    """

    photos: str | None = None
    video: str | None = None
    dataset: str | None = None
    video_id: str | None = None
    num_frames: int = 8
    min_face: int = MIN_FACE

    def __post_init__(self):
        given = [name for name in ("photos", "video", "dataset") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"got {given or 'none'} of photos, video, dataset; expected one")
        if self.dataset and not self.video_id:
            raise ValueError("dataset: expected video_id with it")

    def read(self, config: Config) -> PersonFrames:
        """The frames, cropped and with landmarks as the config's detector and scheme have them."""
        if self.photos:
            return from_photos(config, self.photos, self.num_frames, self.min_face)
        if self.video:
            return from_video(config, self.video, self.num_frames, self.min_face)
        return from_dataset(config, self.dataset, self.video_id, self.num_frames)


def from_photos(config: Config, path: str, num_frames: int, min_face: int = MIN_FACE) -> PersonFrames:
    """Photos of one person: a folder with a file each, or one photo, whatever its name.

    Named and skipped: photos that can not be read or show not exactly one face, what preprocessing
    refuses too (faces under `min_face` pixels, landmarks outside the photo), and what else is in
    the folder.
    """
    folder = pathlib.Path(path)
    if not folder.exists():
        raise ValueError(f"photos {path}: no such folder or photo")
    files = photos.frame_files(folder) if folder.is_dir() else [folder]
    if folder.is_dir():
        for other in sorted(folder.iterdir()):
            if other not in files and not other.name.startswith("."):
                why = "a folder, its files are not looked at" if other.is_dir() else "no photo by its name"
                logging.warning("skipped %s: %s", other, why)
    if not files:
        raise ValueError(f"photos {path}: no photos here (.jpg, .png, ...)")
    return _detect(config, _read_photos(files), f"photos {path}", num_frames, min_face, video=False)


def from_video(config: Config, path: str, num_frames: int, min_face: int = MIN_FACE) -> PersonFrames:
    """`num_frames` frames spread over the usable frames of a video; see `from_photos`."""
    images = ((f"{path}, frame {i}", frame) for i, frame in enumerate(read_frames(path)))
    return _detect(config, images, f"video {path}", num_frames, min_face, video=True)


def from_dataset(config: Config, path: str, video_id: str, num_frames: int) -> PersonFrames:
    """`num_frames` frames spread over one video of a dataset folder."""
    folder = DatasetFolder.open(path)
    folder.info.check_made_for(config)
    record = folder.read_video(video_id)
    chosen = spread(record.num_frames, num_frames)
    return PersonFrames.of_record(record, chosen, f"{path}, {video_id}")


class _Spread:
    """Some of many things that come one by one, spread over them all, without keeping all."""

    def __init__(self, wanted: int):
        self._wanted, self._most = wanted, max(_KEPT * wanted, _KEPT_AT_LEAST)
        self._kept, self._step, self.seen = [], 1, 0

    def add(self, thing) -> None:
        if self.seen % self._step == 0:
            self._kept.append(thing)
        self.seen += 1
        if len(self._kept) > self._most:  # from here on every second one is enough
            self._kept, self._step = self._kept[::2], 2 * self._step

    def chosen(self) -> list:
        return [self._kept[place] for place in spread(len(self._kept), self._wanted)]


def _read_photos(files):
    """Yields the name and the picture of each file, or why there is none."""
    for file in files:
        try:
            yield str(file), photos.read_photo(file)
        except ValueError as error:
            yield str(file), str(error).removeprefix(f"{file}: ")


def _detect(config: Config, images, source: str, num_frames: int, min_face: int, video: bool) -> PersonFrames:
    size, detector_name = config.model.image_size, config.landmarks.detector
    usable, refused = _Spread(num_frames), []
    with get_detector(detector_name, scheme=config.landmarks.scheme, video=video) as detector:
        for name, image in images:
            found = image if isinstance(image, str) else _head(detector, image, size, min_face, video)
            if isinstance(found, str):
                refused.append(f"{name}: {found}")
            else:
                usable.add(found)
    for line in refused[:_SHOWN]:
        logging.warning("skipped %s", line)
    if len(refused) > _SHOWN:
        logging.warning("skipped %d more", len(refused) - _SHOWN)
    if not usable.seen:
        raise ValueError(f"{source}: no usable frame ({'; '.join(refused[:3])})")
    frames, landmarks = zip(*usable.chosen(), strict=True)
    return PersonFrames(np.stack(frames), np.stack(landmarks).astype(np.float32), readable(source))


def _head(detector, image: np.ndarray, size: int, min_face: int, video: bool):
    """See `crop.crop_face`."""
    small = crop.too_small(image.shape[1], image.shape[0], min_face)
    if small:
        return small
    found = detector.detect([image]) if video else detect_in_photos(detector, [image], min_face)
    return crop.crop_face(image, found[0], size, min_face)
