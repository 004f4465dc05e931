"""Which inputs files in VoxCeleb's folders are: a record for each video, made of its clips."""

import dataclasses
import pathlib
from collections.abc import Sequence

from tf_talking.extraction import voxceleb
from tf_talking.extraction.item import InputItem
from tf_talking.media import photos


@dataclasses.dataclass(frozen=True)
class VoxCelebOptions:
    """How VoxCeleb's folders are read.

    Attributes:
      layout: "auto": folders named as VoxCeleb's are; "generic": none; "voxceleb": all.
      boxes: folder of the box files, <identity>/<video>/<clip>.txt.
      split_list, split: only what belongs to this split is taken.
      names: identity of a folder's name, where it is another (vox1_meta.csv).
    """

    layout: str = "auto"
    boxes: pathlib.Path | None = None
    split_list: voxceleb.SplitList | None = None
    split: str = "train"
    names: dict[str, str] = dataclasses.field(default_factory=dict)


class VoxCelebInputs:
    """Collects the clips of each video."""

    def __init__(self, options: VoxCelebOptions):
        if options.layout not in voxceleb.LAYOUTS:
            raise ValueError(f"layout: got {options.layout!r}, expected one of {voxceleb.LAYOUTS}")
        self._options = options
        self._items: list[InputItem] = []
        self._clips: dict[pathlib.Path, tuple[voxceleb.Place, list[pathlib.Path]]] = {}

    def _named(self, place: voxceleb.Place) -> voxceleb.Place:
        identity = self._options.names.get(place.identity, place.identity)
        return dataclasses.replace(place, identity=identity)

    def _wants(self, place: voxceleb.Place) -> bool:
        chosen = self._options.split_list
        return chosen is None or chosen.wants(place, self._options.split)

    def take_file(self, root: pathlib.Path, path: pathlib.Path) -> bool:
        """Whether a video file belongs to VoxCeleb (then it is taken, or left out by the split)."""
        layout = self._options.layout
        if layout == "generic":
            return False
        # Names alone decide with "auto"; else the folders must be given, at most but the first.
        strict = layout == "auto" or len(path.relative_to(root).parts) < 2
        path = path.absolute()
        place = voxceleb.place_of_file(path, strict)
        if place is None:
            if layout == "voxceleb":
                raise ValueError(f"{path}: expected <identity>/<video>/<clip> in this layout")
            return False
        place = self._named(place)
        if self._wants(place):
            video_path = path.parent if place.clip else path
            self._clips.setdefault(video_path, (place, []))[1].append(path)
        return True

    def take_frames(self, folder: pathlib.Path, names: Sequence[str]) -> bool:
        """Likewise a folder of frames."""
        layout, folder = self._options.layout, folder.absolute()
        if layout == "generic" or not any(photos.is_image(name) for name in names):
            return False
        place = voxceleb.place_of_frames(folder, strict=layout == "auto")
        if place is None:
            return False
        place = self._named(place)
        if self._wants(place):
            files = tuple(map(str, photos.frame_files(folder)))
            name = f"{place.identity}/{place.video}"
            self._items.append(InputItem(name, place.identity, "frames", str(folder), files))
        return True

    def _boxes(self, place: voxceleb.Place, file: pathlib.Path) -> tuple[str, ...]:
        folder = self._options.boxes / place.identity / place.video
        if place.clip:
            return (str(folder / f"{file.stem}.txt"),)
        return tuple(map(str, sorted(folder.glob("*.txt")))) or (str(folder),)

    def items(self) -> list[InputItem]:
        found = []
        for source, (place, files) in self._clips.items():
            files = sorted(files, key=photos.natural_key)
            boxes = tuple(self._boxes(place, file) for file in files if self._options.boxes)
            name = f"{place.identity}/{place.video}"
            kind = "clips" if place.clip else "video"
            names = tuple(map(str, files))
            found.append(InputItem(name, place.identity, kind, str(source), names, boxes))
        return self._items + found
