"""Who is one person and who is several, and whom a training leaves out because of it."""

import numpy as np
import pytest

from tests.tf_talking.dataset.made import INFO, make_record, write_folder
from tf_talking.dataset import identities
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.identities import DifferentPeople, SamePerson
from tf_talking.dataset.writer import DatasetWriter

AXES = np.eye(8, dtype=np.float32)


def at(cosine: float, first: int = 0, second: int = 1) -> np.ndarray:
    """A unit vector with that cosine to axis `first`."""
    return cosine * AXES[first] + np.sqrt(1 - cosine**2) * AXES[second]


def folder_of(path, records, **info) -> DatasetFolder:
    writer = DatasetWriter(path, **INFO, borrowed_identity="sface", **info)
    writer.write_shard(records)
    return DatasetFolder.open(path)


def test_photos_count_one_by_one_and_videos_once(tmp_path):
    vectors = np.stack([3.0 * AXES[0], 5.0 * at(0.8)])
    folder = folder_of(
        tmp_path / "d",
        [
            make_record("a", identity="p", kind="photos", identity_vectors=vectors),
            make_record("b", identity="q", identity_vectors=vectors),
            make_record("c", identity="q", identity_vectors=vectors[:1], num_frames=1),
        ],
    )
    found = identities.stored_embeddings([folder])
    np.testing.assert_allclose(found["p"], [AXES[0], at(0.8)], atol=1e-6)
    middle = (AXES[0] + at(0.8)) / np.linalg.norm(AXES[0] + at(0.8))
    np.testing.assert_allclose(found["q"], [middle, AXES[0]], atol=1e-6)


def test_a_dataset_without_embeddings_says_what_to_do(tmp_path):
    write_folder(tmp_path / "plain", [make_record("a")])
    with pytest.raises(ValueError, match="plain.*--borrowed_identity=sface"):
        identities.stored_embeddings([DatasetFolder.open(tmp_path / "plain")])


def test_pairs_and_mixed_identities_are_found_at_the_thresholds(monkeypatch):
    monkeypatch.setattr(identities, "_ROWS", 2)  # several blocks
    people = {
        "a": AXES[:1],
        "b": at(0.6)[None],
        "c": np.stack([AXES[2], at(0.3, 2, 3), AXES[2]]),
        "d": np.stack([AXES[4], at(0.2, 4, 5)]),
        "e": at(0.9, 6, 7)[None],
        "f": AXES[6:7],
    }
    same = identities.same_people(people, 0.55)
    assert [(pair.identity, pair.other) for pair in same] == [("e", "f"), ("a", "b")]
    assert same[0].cosine == pytest.approx(0.9) and same[1].cosine == pytest.approx(0.6)
    # c's median is that of two of its three pairs: 0.3.
    assert [one.identity for one in identities.different_people(people, 0.35)] == ["d", "c"]
    assert identities.different_people(people, 0.25) == [DifferentPeople("d", pytest.approx(0.2))]


def test_whoever_is_a_person_kept_out_is_left_out_too():
    same = [SamePerson("c", "b", 0.6), SamePerson("a", "b", 0.9), SamePerson("x", "y", 0.7)]
    mixed = [DifferentPeople("m", 0.1), DifferentPeople("a", 0.2)]
    assert identities.to_leave_out(["a"], same, mixed) == ["a", "b", "c", "m"]
    assert identities.to_leave_out([], same, []) == []
