"""Person cards: round trip, refusal of anything else, no half-written file."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from tf_talking.people.card import PersonCard


def make_card(**changes) -> PersonCard:
    fields = dict(
        name="Ada",
        model="person_Ada",
        adain_params=np.linspace(-1, 1, 24, dtype=np.float32),
        embedding=np.arange(8, dtype=np.float32),
        config_hash="0123456789ab",
        image_size=64,
        detector="mediapipe",
        scheme="ibug68",
        created="2024-01-02T03:04:05+00:00",
        num_frames=8,
        extra={"source": "photos of Ada, é"},
    )
    return PersonCard(**fields | changes)


def members_of(path) -> dict:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_round_trip_keeps_every_field(tmp_path):
    card = make_card()
    loaded = PersonCard.load(card.save(tmp_path / "people" / "Ada.npz"))
    assert loaded == card
    assert loaded.extra == {"source": "photos of Ada, é"}
    assert loaded.adain_params.dtype == np.float32
    assert type(loaded.image_size) is int and type(loaded.name) is str
    assert loaded != make_card(num_frames=9)
    assert loaded != make_card(embedding=np.zeros(8, np.float32))


def test_fields_that_came_later(tmp_path):
    card = make_card(fingerprint="a" * 64, embedder_fingerprint="b" * 64, person_vector=np.arange(12, dtype=np.float32))
    path = card.save(tmp_path / "new.npz")
    assert PersonCard.load(path) == card
    members = members_of(path)
    for name in ("fingerprint", "embedder_fingerprint", "person_vector"):
        del members[name]
    np.savez(path, **members)  # a card from before
    old = PersonCard.load(path)
    assert (old.fingerprint, old.embedder_fingerprint, old.person_vector) == ("", "", None)
    assert old == make_card()
    with pytest.raises(ValueError, match="person_vector: got float64"):
        make_card(person_vector=np.zeros(3))
    with pytest.raises(ValueError, match="fingerprint: got 7"):
        make_card(fingerprint=7)


def test_saving_leaves_only_the_named_file_and_any_suffix_is_kept(tmp_path):
    make_card().save(tmp_path / "ada.card")
    assert os.listdir(tmp_path) == ["ada.card"]


def test_failed_save_leaves_the_old_card(tmp_path, monkeypatch):
    path = make_card().save(tmp_path / "ada.npz")

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="disk full"):
        make_card(name="Bea").save(path)
    assert os.listdir(tmp_path) == ["ada.npz"]
    assert PersonCard.load(path).name == "Ada"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adain_params": np.zeros(24)}, "adain_params: got float64"),
        ({"adain_params": np.zeros((2, 12), np.float32)}, r"adain_params: got float32 \[2, 12\]"),
        ({"embedding": np.full(8, np.nan, np.float32)}, "embedding: 8 of 8 values are not finite"),
        ({"image_size": 0}, "image_size: got 0"),
        ({"num_frames": 1.5}, "num_frames: got 1.5"),
        ({"name": ""}, "name: got an empty text"),
        ({"detector": None}, "detector: got None"),
        ({"extra": {"a": 1}}, "extra: got 1"),
    ],
)
def test_constructor_names_the_wrong_field(change, message):
    with pytest.raises(ValueError, match=message):
        make_card(**change)


def test_one_frame_is_enough_and_15_mib_of_parameters_fit(tmp_path):
    card = make_card(num_frames=1, adain_params=np.zeros(15 * 2**18, np.float32))
    assert PersonCard.load(card.save(tmp_path / "ada.npz")) == card
    large = make_card(adain_params=np.zeros(2**22, np.float32)).save(tmp_path / "large.npz")
    with pytest.raises(ValueError, match="large.npz"):
        PersonCard.load(large)


def test_cards_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_card().name = "Bea"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scheme": None}, "field scheme is missing"),
        ({"image_size": np.float32(64)}, "field image_size: got float32"),
        ({"name": np.array(["a", "b"])}, r"field name: got <U1 \[2\]"),
        ({"format_version": 2}, "field format_version: got 2, expected 1"),
        ({"adain_params": np.zeros(3, np.int32)}, "field adain_params: got int32"),
        ({"embedding": np.array([{}], object)}, "field embedding: Object arrays"),
        ({"embedding": np.zeros(5 * 2**20, np.float32)}, "member 'embedding.npy' has"),
    ],
)
def test_load_names_file_and_field(tmp_path, change, message):
    path = make_card().save(tmp_path / "ada.npz")
    members = members_of(path) | change
    np.savez(path, **{k: v for k, v in members.items() if v is not None})
    with pytest.raises(ValueError, match=message) as caught:
        PersonCard.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_load_refuses_other_files(tmp_path, content):
    path = tmp_path / "card.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="card.npz: not an .npz file"):
        PersonCard.load(path)


def test_load_refuses_a_truncated_card(tmp_path):
    path = make_card().save(tmp_path / "card.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="card.npz"):
        PersonCard.load(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nobody.npz"):
        PersonCard.load(tmp_path / "nobody.npz")


def test_needs_no_tensorflow(repo_root):
    code = "import sys, tf_talking.people.card; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repo_root).returncode == 0
