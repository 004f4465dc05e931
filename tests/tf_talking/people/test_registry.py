"""A folder of a thousand people: one card is opened at a time, changes are seen."""

import os
import shutil

import numpy as np
import pytest

from tf_talking.people.card import PersonCard
from tf_talking.people.registry import PersonRegistry
from tf_talking.served.folder import ServingFolder


def make_card(name: str, value: float = 0.0) -> PersonCard:
    return PersonCard(
        name=name,
        model="generator",
        adain_params=np.full(8, value, np.float32),
        embedding=np.zeros(4, np.float32),
        config_hash="0123456789ab",
        image_size=64,
        detector="mediapipe",
        scheme="ibug68",
        created="2024-01-02T03:04:05+00:00",
        num_frames=8,
    )


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """Folder with person_000 to person_999, and things that are no people."""
    folder = tmp_path_factory.mktemp("people")
    first = make_card("somebody").save(folder / "person_000.npz")
    for number in range(1, 1000):
        shutil.copy(first, folder / f"person_{number:03}.npz")
    (folder / "person_000.png").write_bytes(b"a picture")
    (folder / ".person_000.npz.tmp").write_bytes(b"half a card")
    (folder / ".hidden.npz").write_bytes(b"half a card")
    return folder


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that cards are read from."""
    names = []
    load = PersonCard.load.__func__

    def counting(cls, path):
        names.append(path.name)
        return load(cls, path)

    monkeypatch.setattr(PersonCard, "load", classmethod(counting))
    return names


def test_of_a_thousand_cards_only_the_asked_one_is_opened(thousand, opened):
    registry = PersonRegistry(thousand)
    assert len(registry.names()) == 1000 and registry.names()[7] == "person_007"
    assert "person_999" in registry and "person_1000" not in registry
    assert opened == []
    assert registry.load("person_500").name == "somebody"
    assert opened == ["person_500.npz"]


def test_the_folder_is_not_listed_for_somebody_who_is_there(thousand, monkeypatch):
    registry = PersonRegistry(thousand)
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("the folder was read"))
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("the folder was read"))
    assert registry.load("person_001").model == "generator"
    assert "person_002" in registry


def test_a_replaced_card_is_read_again_and_a_removed_one_is_gone(tmp_path):
    path = make_card("ann", 1.0).save(tmp_path / "ann.npz")
    registry = PersonRegistry(tmp_path)
    assert registry.load("ann").adain_params[0] == 1.0
    stat = path.stat()
    make_card("ann", 2.0).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same time: another file
    assert registry.load("ann").adain_params[0] == 2.0
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no person 'ann' among the 0 in"):
        registry.load("ann")


def test_errors_name_the_folder_and_similar_names(thousand, tmp_path):
    registry = PersonRegistry(thousand)
    with pytest.raises(FileNotFoundError) as caught:
        registry.load("persn_042")
    message = str(caught.value)
    assert str(thousand) in message and "person_042" in message and "among the 1000" in message
    for name in ("../people/person_001", "", ".hidden", "a/b"):
        assert name not in registry
        with pytest.raises(ValueError, match="expected letters, digits"):
            registry.load(name)
    with pytest.raises(FileNotFoundError, match="nothing: no such folder"):
        PersonRegistry(tmp_path / "nothing")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="bad.npz: not an .npz file"):
        PersonRegistry(tmp_path).load("bad")


def test_it_reads_what_a_serving_folder_holds(tmp_path):
    folder = ServingFolder(tmp_path)
    make_card("ann").save(folder.card_path("ann"))
    registry = PersonRegistry(tmp_path / "people")
    assert registry.path("ann") == folder.card_path("ann")
    assert registry.load("ann") == make_card("ann")
