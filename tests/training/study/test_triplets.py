"""Folders of frames, and the triplets drawn from them."""

import shutil
from collections import Counter

import cv2
import pytest

from tests.training.study.study_helpers import make_frames
from training.study.frames import Condition, generated_folder, read_people, real_folder
from training.study.triplets import conditions_of, draw_triplets


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("study"))


def where(file):
    """(person, "real" or "generated", folder of the sequence)."""
    parts = file.parts
    kind = "real" if "real" in parts else "generated"
    return parts[parts.index(kind) - 1], kind, file.parent.name


def test_conditions_and_people(frames):
    people = read_people(frames)
    assert [person.name for person in people] == ["person 0", "person 1"]
    assert conditions_of(people) == [Condition("FT", 1), Condition("FT", 8), Condition("other", 0)]
    assert [file.name for file in people[0].real["a"]] == [f"frame_{i:06d}.png" for i in range(6)]


@pytest.mark.parametrize(
    "name, condition",
    [
        ("FT_T8", Condition("FT", 8)),
        ("no_match_T32", Condition("no_match", 32)),
        ("X_T0", Condition("X_T0")),
        ("X_T", Condition("X_T")),
    ],
)
def test_name_of_a_folder_tells_method_and_t(name, condition):
    assert Condition.from_folder(name) == condition and condition.folder == name


def test_triplet_is_one_person_in_three_sequences(frames):
    triplets = draw_triplets(read_people(frames), 6, seed=0)
    assert Counter(t.condition for t in triplets) == dict.fromkeys(conditions_of(read_people(frames)), 6)
    for triplet in triplets:
        places = [where(file) for file in (triplet.fake, *triplet.real)]
        assert {person for person, _, _ in places} == {triplet.person}
        assert [kind for _, kind, _ in places] == ["generated", "real", "real"]
        assert len({sequence for _, _, sequence in places}) == 3
        assert triplet.fake.parent.parent.name == triplet.condition.folder
    files = [file for t in triplets for file in (t.fake, *t.real)]
    assert len(set(files)) == len(files)  # no picture twice
    per_person = Counter((t.condition, t.person) for t in triplets)
    assert set(per_person.values()) == {3}


def test_seed_decides(frames):
    people = read_people(frames)
    assert draw_triplets(people, 4, 1) == draw_triplets(people, 4, 1)
    assert draw_triplets(people, 4, 1) != draw_triplets(people, 4, 2)


def test_too_few_frames_says_what_they_are_enough_for(frames):
    people = read_people(frames)
    with pytest.raises(ValueError, match=r"FT_T1: frames are enough for \d+ .* 99") as e:
        draw_triplets(people, 99, 0)
    enough = int(e.value.args[0].split("enough for ")[1].split()[0])
    assert len(draw_triplets(people, enough, 0)) == 3 * enough


def test_everybody_needs_every_method(frames, tmp_path):
    copy = shutil.copytree(frames, tmp_path / "frames")
    shutil.rmtree(copy / "person 1" / "generated" / "FT_T8")
    with pytest.raises(ValueError, match="person 1/generated: no FT_T8"):
        draw_triplets(read_people(copy), 1, 0)


def test_what_is_missing_in_the_folder_is_named(frames, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        read_people(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="nobody in it with real and generated frames"):
        read_people(tmp_path)
    copy = shutil.copytree(frames, tmp_path / "frames")
    person = copy / "person 0"
    (person / "generated" / "FT_T1" / "a").rename(person / "generated" / "FT_T1" / "z")
    with pytest.raises(ValueError, match="FT_T1/z: there is no real/z"):
        read_people(copy)
    (person / "real" / "z").mkdir()
    with pytest.raises(ValueError, match="real/z: no pictures in it"):
        read_people(copy)


def test_people_with_half_of_the_frames_are_left_out(frames, tmp_path, caplog):
    copy = shutil.copytree(frames, tmp_path / "frames")
    shutil.copytree(copy / "person 0" / "real", copy / "person 2" / "real")
    shutil.rmtree(copy / "person 0" / "real")
    with caplog.at_level("WARNING"):
        assert [person.name for person in read_people(copy)] == ["person 1"]
    assert "person 0 is left out: it has no folder 'real'" in caplog.text
    assert "person 2 is left out: it has no folder 'generated'" in caplog.text


def test_names_of_folders(tmp_path):
    assert real_folder(tmp_path, "id1/v", "a b") == tmp_path / "id1_v" / "real" / "a b"
    made = generated_folder(tmp_path, "id1", "FT", 8, "v/1")
    assert made == tmp_path / "id1" / "generated" / "FT_T8" / "v_1"
    for name in ("", ".x", "..", "a\\b"):
        with pytest.raises(ValueError, match="can not be the name of a folder"):
            real_folder(tmp_path, "person", name)
        with pytest.raises(ValueError, match="can not be the name of a folder"):
            generated_folder(tmp_path, "person", name, 1, "a")


def test_saved_frames_keep_their_pixels(frames):
    file = read_people(frames)[0].real["a"][0]
    assert cv2.imread(str(file)).shape == (32, 32, 3)
    assert not [path for path in file.parent.iterdir() if path.name.startswith(".")]
