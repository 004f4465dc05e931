"""Writes a user study: the page with its pictures for the participants, and the organiser's key.

    STUDY/index.html              opens without a server; needs no network
    STUDY/images/3f9c….jpg        all of one size, encoded alike, named by chance
    STUDY.key.json                which picture is generated, and from where each comes

Pictures are decoded, brought to the smallest side among them and encoded again, so that neither
name, size, metadata, time nor compression tells which is real. Nothing on the page does either.
"""

import hashlib
import html
import json
import os
import pathlib
import random

import tqdm

from tf_talking.files import whole_folder, write_whole
from tf_talking.media import jpeg
from tf_talking.media.panels import scaled
from tf_talking.media.photos import photo_size, read_photo
from training.study.triplets import Triplet

KEY_FORMAT = "tf_talking user study key 1"
ANSWERS_FORMAT = "tf_talking user study answers 1"  # what the page writes
_TEMPLATE = pathlib.Path(__file__).with_name("page.html")
_TIME = 1_000_000_000  # of every file, seconds since 1970


def write_study(
    triplets: list[Triplet],
    page: pathlib.Path,
    key: pathlib.Path,
    title: str,
    seed: int,
    size: int = 0,
    quality: int = 95,
) -> dict:
    """Writes the folder `page` and the file `key`, and returns what the key holds.

    Args:
      triplets: of `draw_triplets`; one person is as good as another, the order does not matter.
      page: folder to make, for the participants.
      key: file to make, outside of `page`.
      title: heading of the page.
      seed: of the names of pictures and triplets, and so of the order on the page.
      size: side of the pictures in pixels; 0: the smallest side among them.
      quality: of JPEG, 1 to 100.

    Raises:
      FileExistsError: `page` or `key` is there already; answers may have been given to it.
      ValueError: a picture can not be read, is not square or smaller than `size`, or the key
        would lie inside of `page`.
    """
    if page.resolve() in key.resolve().parents:
        raise ValueError(f"{key}: the key must not lie in the folder of the participants, {page}")
    for path in (page, key):
        if path.exists():
            raise FileExistsError(f"{path}: exists already; choose another name")
    size = _common_size([file for t in triplets for file in (t.fake, *t.real)], size)
    listed, known = _name(triplets, random.Random(f"names {seed}"))
    study = hashlib.sha256(json.dumps([title, size, listed]).encode()).hexdigest()[:12]
    page.parent.mkdir(parents=True, exist_ok=True)
    key.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "format": KEY_FORMAT,
        "study": study,
        "title": title,
        "seed": seed,
        "size": size,
        "quality": quality,
        "triplets": known,
    }
    with whole_folder(page) as folder:
        _write_images(known, folder / "images", size, quality)
        (folder / "index.html").write_text(_page(title, study, listed), encoding="utf-8")
        for path in (folder / "index.html", folder / "images"):
            os.utime(path, (_TIME, _TIME))
        write_whole(key, json.dumps(facts, indent=1) + "\n")  # first: no page without its key
    return facts


def _common_size(files: list[pathlib.Path], size: int) -> int:
    """`size`, or the smallest side of all pictures; each is looked at."""
    smallest, smallest_file = None, None
    for file in files:
        try:
            width, height = photo_size(file)
        except OSError as error:
            raise ValueError(f"{file}: corrupt image: {error}") from None
        if width != height:
            raise ValueError(f"{file}: {width}x{height} pixels, expected a square picture")
        if smallest is None or width < smallest:
            smallest, smallest_file = width, file
    if size > smallest:
        raise ValueError(
            f"size {size}: {smallest_file} has {smallest}x{smallest} pixels, and enlarged pictures "
            f"would tell themselves; expected at most {smallest}"
        )
    return size or smallest


def _name(triplets: list[Triplet], rng: random.Random) -> tuple[list[dict], dict[str, dict]]:
    """(what the page knows of the triplets, what the key knows); both sorted by names of chance."""
    known = {}
    for triplet in triplets:
        names = [f"{rng.getrandbits(64):016x}.jpg" for _ in range(3)]
        files = (triplet.fake, *triplet.real)
        known[f"{rng.getrandbits(48):012x}"] = {
            "person": triplet.person,
            "method": triplet.condition.method,
            "t": triplet.condition.t or None,
            "fake": names[0],
            "sources": {name: str(file) for name, file in sorted(zip(names, files, strict=True))},
        }
    known = dict(sorted(known.items()))
    return [{"id": name, "images": list(t["sources"])} for name, t in known.items()], known


def _write_images(known: dict[str, dict], folder: pathlib.Path, size: int, quality: int) -> None:
    folder.mkdir()
    sources = [pair for triplet in known.values() for pair in triplet["sources"].items()]
    for name, source in tqdm.tqdm(sorted(sources), unit="picture", desc="pictures"):
        path = folder / name
        # Colors are kept at every pixel, metadata are not.
        picture = scaled(read_photo(source), size, size)
        path.write_bytes(jpeg.encode(picture, quality, full_color=True))
        os.utime(path, (_TIME, _TIME))


def _page(title: str, study: str, triplets: list[dict]) -> str:
    data = json.dumps({"format": ANSWERS_FORMAT, "study": study, "triplets": triplets})
    text = _TEMPLATE.read_text(encoding="utf-8")
    # Inside a script element only "</script" or "<!--" could end or change it.
    return text.replace("{{title}}", html.escape(title)).replace("{{study}}", data.replace("<", "\\u003c"))
