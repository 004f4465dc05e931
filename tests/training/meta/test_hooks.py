"""Who is shown in the previews of a training on videos and on photos."""

import types

import numpy as np

from tests.tf_talking.dataset.made import INFO, make_record
from tf_talking.dataset.records import PHOTOS, VIDEO
from tf_talking.dataset.writer import DatasetWriter
from training.meta.hooks import preview_rows


def datasets(tmp_path, **people):
    """Folders with people: name → (kind, frames)."""
    paths = []
    for name, members in people.items():
        paths.append(str(tmp_path / name))
        writer = DatasetWriter(paths[-1], **INFO)
        writer.write_shard([make_record(who, count, identity=who, kind=kind) for who, kind, count in members])
    return paths


def shown(paths, *kept_out):
    options = types.SimpleNamespace(dataset=paths, exclude_identities=list(kept_out))
    return [(row.kind, row.identity) for row in preview_rows(options, k_shot=2)]


def test_people_kept_out_of_both_kinds_are_shown_and_told_apart(tmp_path):
    clips = [(f"c{n}", VIDEO, 6) for n in range(9)]
    people = [(f"p{n}", PHOTOS, 1 + n % 2) for n in range(9)]
    paths = datasets(tmp_path, clips=clips, people=people)
    # p2 has one photo: the truth would be a source.
    expected = [(VIDEO, "c3"), (VIDEO, "c5"), (PHOTOS, "p1"), (PHOTOS, "p7")]
    assert shown(paths, "c3", "c5", "p1", "p2", "p7") == expected
    everybody = [who for _, who in shown(paths)]
    assert everybody == ["c0", "c1", "c2", "c3", "p1", "p3"]


def test_single_photos_alone_are_shown_all_the_same(tmp_path):
    rows = shown(datasets(tmp_path, people=[(f"p{n}", PHOTOS, 1) for n in range(3)]))
    assert rows == [(PHOTOS, "p0"), (PHOTOS, "p1")]
    assert np.unique([who for _, who in rows]).size == 2
