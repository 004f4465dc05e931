import pathlib

import pytest

from tf_talking.extraction import voxceleb
from tf_talking.extraction.voxceleb import Place, SplitList

A, B = Place("id10001", "1zcIwhmdeo4", "00001"), Place("id10002", "xTV-jFAUKcw", "00003")


@pytest.mark.parametrize(
    "path, strict, place",
    [
        ("mp4/id00012/21Uxsk56VDQ/00001.mp4", True, Place("id00012", "21Uxsk56VDQ", "00001")),
        ("id10001/1zcIwhmdeo4/00001.avi", True, Place("id10001", "1zcIwhmdeo4", "00001")),
        ("id10001/1zcIwhmdeo4.mp4", True, Place("id10001", "1zcIwhmdeo4")),
        ("ann/talk/part1.mp4", True, None),
        ("ann/talk/part1.mp4", False, Place("ann", "talk", "part1")),
        ("clips/c001.mp4", True, None),
    ],
)
def test_place_of_a_file(path, strict, place):
    assert voxceleb.place_of_file(pathlib.Path("/data") / path, strict) == place


def test_place_of_frames():
    path = pathlib.Path("/data/unzippedFaces/A.J._Buckley/1.6/1zcIwhmdeo4")
    assert voxceleb.place_of_frames(path) == Place("A.J._Buckley", "1zcIwhmdeo4")
    path = pathlib.Path("/data/id10001/1zcIwhmdeo4")
    assert voxceleb.place_of_frames(path) == Place("id10001", "1zcIwhmdeo4")
    assert voxceleb.place_of_frames(pathlib.Path("/data/ann/talk")) is None


def read(tmp_path, name: str, text: str) -> SplitList:
    (tmp_path / name).write_text(text)
    return SplitList.read(tmp_path / name)


def test_identification_split_goes_by_clip(tmp_path):
    chosen = read(
        tmp_path,
        "iden_split.txt",
        "1 id10001/1zcIwhmdeo4/00001.wav\n2 id10001/1zcIwhmdeo4/00002.wav\n3 id10002/xTV-jFAUKcw/00003.wav\n",
    )
    assert chosen.wants(A, "train") and not chosen.wants(A, "test")
    assert chosen.wants(B, "test") and not chosen.wants(B, "train")
    whole = Place("id10001", "1zcIwhmdeo4")
    assert [chosen.wants(whole, split) for split in voxceleb.SPLITS] == [True, True, False]
    assert not chosen.wants(Place("id10009", "xTV-jFAUKcw", "00003"), "train")


def test_verification_list_makes_its_people_the_test_set(tmp_path):
    chosen = read(
        tmp_path,
        "veri_test.txt",
        "1 id10002/x6uYqmx31kE/00001.wav id10002/8jEAjG6SegY/00008.wav\n"
        "0 id10002/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav\n",
    )
    assert chosen.wants(B, "test") and not chosen.wants(B, "train")
    assert chosen.wants(A, "train") and not chosen.wants(A, "test")


def test_tables_of_people(tmp_path):
    head = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \n"
    vox2 = f"{head}id10001 ,n000012 ,m ,dev\nid10002 ,n1 ,f ,test\n"
    for name, text in (
        ("vox2_meta.csv", vox2),
        (
            "vox1_meta.csv",
            "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
            "id10001\tA.J._Buckley\tm\tIreland\tdev\nid10002\tA.R._Rahman\tm\tIndia\ttest\n",
        ),
    ):
        chosen = read(tmp_path, name, text)
        assert chosen.wants(A, "train") and not chosen.wants(A, "test")
        assert chosen.wants(B, "test") and not chosen.wants(B, "train")
    names = voxceleb.read_names(tmp_path / "vox1_meta.csv")
    assert names == {"A.J._Buckley": "id10001", "A.R._Rahman": "id10002"}
    with pytest.raises(ValueError, match="vox2_meta.csv: no column 'VGGFace1 ID'"):
        voxceleb.read_names(tmp_path / "vox2_meta.csv")


def test_plain_list_is_what_is_taken(tmp_path):
    chosen = read(tmp_path, "mine.txt", "id10001\nid10002/AAAAAAAAAAA\n\n")
    assert chosen.wants(A, "train") and chosen.wants(A, "test")
    assert not chosen.wants(B, "train")
    assert chosen.wants(Place("id10002", "AAAAAAAAAAA", "1"), "train")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.txt", "1 id10001/a/b.wav\n4 id10001/a/b.wav\n", "line 2: got '4 id10001/a/b.wav'"),
        ("a.txt", "1 ann/a/b.wav\n", "line 1: got 'ann/a/b.wav', expected <identity>/<video>/"),
        ("a.txt", "id10001/a/b/c.wav\n", "line 1"),
        ("a.txt", "\n", "it lists nothing"),
        ("a.csv", "name,Set\nann,dev\n", "expected an ID first and 'Set'"),
        ("a.csv", "X ID,Set\nid10001,dev\nid10002\n", "line 3: 1 columns, expected 2"),
        ("a.csv", "X ID,Set\nid10001,best\n", "line 2: set 'best', expected dev or test"),
    ],
)
def test_bad_lists_are_named_with_the_line(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        read(tmp_path, name, text)
