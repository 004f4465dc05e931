import os
import pathlib

import numpy as np
import PIL.Image
import pytest

from tf_talking.extraction.identities import Identities
from tf_talking.extraction.inputs import find_inputs
from tf_talking.extraction.voxceleb import SplitList
from tf_talking.extraction.voxceleb_inputs import VoxCelebOptions


def touch(root: pathlib.Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def save_images(folder: pathlib.Path, count: int, size=lambda k: (8, 8)) -> None:
    folder.mkdir(parents=True)
    for k in range(count):
        width, height = size(k)
        PIL.Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(folder / f"f{k}.png")


def described(items) -> list[tuple]:
    return [(item.video_id, item.kind, item.identity, len(item.files)) for item in items]


def test_folders_are_searched_in_natural_order(tmp_path):
    touch(tmp_path / "in", "v10.mp4", "v9.MOV", "sub/a.mkv", "notes.txt", ".hidden.mp4", ".d/b.mp4")
    assert described(find_inputs([tmp_path / "in"])) == [
        ("in/sub/a.mkv", "video", "in/sub/a.mkv", 1),
        ("in/v9.MOV", "video", "in/v9.MOV", 1),
        ("in/v10.mp4", "video", "in/v10.mp4", 1),
    ]


def test_single_files_are_taken_and_found_again_below_their_folder(tmp_path):
    touch(tmp_path / "in", "a.mp4", "b.unknown")
    alone = find_inputs([tmp_path / "in" / "a.mp4", tmp_path / "in" / "b.unknown"])
    assert [item.video_id for item in alone] == ["in/a.mp4", "in/b.unknown"]
    with pytest.raises(ValueError, match="there is no .*missing"):
        find_inputs([tmp_path / "missing"])


def test_inputs_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "x/clips/a.mp4", "y/clips/a.mp4")
    with pytest.raises(ValueError, match="both be called 'clips/a.mp4'"):
        find_inputs([tmp_path / "x" / "clips", tmp_path / "y" / "clips"])
    assert len(find_inputs([tmp_path])) == 2


def test_images_as(tmp_path):
    save_images(tmp_path / "in" / "frames", 12)
    save_images(tmp_path / "in" / "photos", 12, lambda k: (8 + k % 3, 8))
    people = Identities([(f"photos/f{k}.png", "ann" if k < 5 else "bob") for k in range(11)])

    def kinds(images_as):
        found = described(find_inputs([tmp_path / "in"], people, images_as))
        return [(kind, identity, count) for _, kind, identity, count in found]

    assert kinds("auto") == [
        ("frames", "in/frames", 12),
        ("photos", "in/photos/f11.png", 1),
        ("photos", "ann", 5),
        ("photos", "bob", 6),
    ]
    assert [count for *_, count in kinds("frames")] == [12, 12]
    assert len(kinds("photos")) == 24
    assert len(kinds("identity")) == 12 + 3


def test_identities_by_path_and_by_trailing_part(tmp_path):
    touch(tmp_path / "in", "1/a.mp4", "2/a.mp4", "c.mp4", "d.mp4")
    table = tmp_path / "people.csv"
    table.write_text("kind,identity,file\nv,ann,1/a.mp4\nv,bob,in/2/a.mp4\nv,cem,elsewhere/c.mp4\n")
    found = find_inputs([tmp_path / "in"], Identities.read(table))
    assert [item.identity for item in found] == ["ann", "bob", "cem", "in/d.mp4"]
    # The name alone is not enough where the input has folders.
    other = Identities([("x/3/a.mp4", "dan")])
    assert [i.identity for i in find_inputs([tmp_path / "in"], other)][:2] == ["in/1/a.mp4", "in/2/a.mp4"]


def test_identity_from_folder(tmp_path):
    touch(tmp_path / "in", "ann/x/a.mp4", "bob/b.mp4", "c.mp4")
    found = find_inputs([tmp_path / "in"], identity_from="folder")
    assert [item.identity for item in found] == ["ann", "bob", "in/c.mp4"]


def test_images_that_a_table_names_one_by_one_are_photos_however_they_are_numbered(tmp_path):
    save_images(tmp_path / "portraits", 12)
    notes = []
    assert described(find_inputs([tmp_path / "portraits"], note=notes.append)) == [
        ("portraits", "frames", "portraits", 12)
    ]
    assert "1 folders of at least 10 numbered images" in notes[0] and "images_as=photos" in notes[0]
    people = Identities([(f"f{k}.png", f"person{k}") for k in range(12)])
    found = find_inputs([tmp_path / "portraits"], people, note=pytest.fail)
    assert described(found) == [(f"portraits/photos of person{k}", "photos", f"person{k}", 1) for k in range(12)]
    whole = Identities([("portraits", "ann")])  # names the folder: still a video
    assert described(find_inputs([tmp_path / "portraits"], whole)) == [("portraits", "frames", "ann", 12)]


def test_files_of_other_kinds_are_counted_and_named(tmp_path):
    touch(tmp_path / "in", "a.mp4", "notes.txt", "more/more.txt", "LIESMICH", ".hidden.txt")
    notes = []
    find_inputs([tmp_path / "in"], note=notes.append)
    (note,) = notes
    assert "1 without a suffix (LIESMICH)" in note and "2 .txt (notes.txt, ...)" in note


def test_linked_folders_are_searched_once(tmp_path):
    touch(tmp_path / "people", "bob/b.mp4")
    touch(tmp_path / "elsewhere", "a.mp4")
    (tmp_path / "people" / "ann").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "people" / "a_circle").symlink_to(tmp_path / "people")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "people" / "bob")
    notes = []
    found = find_inputs([tmp_path / "people"], identity_from="folder", note=notes.append)
    assert described(found) == [("people/ann/a.mp4", "video", "ann", 1), ("people/bob/b.mp4", "video", "bob", 1)]
    assert len(notes) == 2 and "a_circle" in notes[0] and "ann/back" in notes[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_can_not_be_read_is_named(tmp_path):
    touch(tmp_path / "in", "a.mp4", "secret/b.mp4")
    (tmp_path / "in" / "secret").chmod(0)
    notes = []
    assert len(find_inputs([tmp_path / "in"], note=notes.append)) == 1
    assert "secret: Permission denied" in notes[0]


def test_names_of_other_encodings_and_protocols(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"J\xfcrgen.mp4")).touch()
    (tmp_path / "in" / "concat:x.mp4").touch()
    monkeypatch.chdir(tmp_path / "in")
    concat, latin = find_inputs([os.fsdecode(b"J\xfcrgen.mp4"), "concat:x.mp4"])
    assert (latin.video_id, latin.identity) == ("in/J%FCrgen.mp4", "in/J%FCrgen.mp4")
    assert latin.source.encode() and pathlib.Path(latin.files[0]).is_file()
    assert concat.files == (str(tmp_path / "in" / "concat:x.mp4"),)


def test_an_input_that_is_given_twice_is_done_once(tmp_path):
    touch(tmp_path / "in", "a.mp4")
    assert len(find_inputs([tmp_path / "in", tmp_path / "in" / "a.mp4"])) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_as_spreadsheets_write_them(tmp_path, encoding, mark):
    rows = [("File", "Identity"), ("clips\\a.mp4", "ann"), ("Zoe\u0308.mp4", "zoe"), ("C:\\x\\c.mp4", "cem")]
    table = tmp_path / "people.csv"
    table.write_bytes("".join(mark.join(row) + "\r\n" for row in rows).encode(encoding))
    touch(tmp_path / "clips", "a.mp4", "Zo\u00eb.mp4", "c.mp4")
    people = Identities.read(table)
    found = find_inputs([tmp_path / "clips"], people)
    assert {item.video_id: item.identity for item in found} == {
        "clips/a.mp4": "ann",
        "clips/Zo\u00eb.mp4": "zoe",
        "clips/c.mp4": "cem",
    }
    assert people.unused == []


def test_rows_that_fit_nothing_are_known(tmp_path):
    touch(tmp_path / "in", "a.mp4", "b.mp4")
    people = Identities([("a.mp4", "ann"), ("B.MP4", "ann"), ("x/b.mp4", "bob"), ("x/y/nobody.mp4", "ann")])
    find_inputs([tmp_path / "in"], people)
    assert people.unused == ["B.MP4", "x/y/nobody.mp4"]


def test_a_table_in_another_encoding_is_named(tmp_path):
    table = tmp_path / "people.csv"
    table.write_bytes("file,identity\na.mp4,ann\nZo\u00eb.mp4,zoe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="people.csv, line 3: not UTF-8 text .byte 0xeb.; save it as UTF-8"):
        Identities.read(table)


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,identity\na,b\n", "people.csv: no column file"),
        ("file,identity\na.mp4,\n", "people.csv, line 2: empty"),
        ("file,identity\na.mp4,1\na.mp4,2\n", "people.csv: 'a.mp4' has two identities"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, message):
    table = tmp_path / "people.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=message):
        Identities.read(table)


def test_contradicting_rows_are_refused(tmp_path):
    touch(tmp_path / "in", "a.mp4")
    with pytest.raises(ValueError, match="several identities fit: .'1', '2'"):
        find_inputs([tmp_path / "in"], Identities([("x/a.mp4", "1"), ("y/a.mp4", "2")]))


@pytest.fixture
def vox2(tmp_path):
    touch(
        tmp_path / "dev",
        "mp4/id00012/21Uxsk56VDQ/00002.mp4",
        "mp4/id00012/21Uxsk56VDQ/00010.mp4",
        "mp4/id00012/_raOc3-IRsw/00001.mp4",
        "mp4/id00017/7t6lfzvVaTM/00001.mp4",
        "txt/id00012/21Uxsk56VDQ/00002.txt",
        "extra/other.mp4",
    )
    return tmp_path / "dev"


def test_voxceleb_video_is_one_input_of_its_clips(vox2):
    items = find_inputs([vox2])
    assert described(items) == [
        ("dev/extra/other.mp4", "video", "dev/extra/other.mp4", 1),
        ("id00012/21Uxsk56VDQ", "clips", "id00012", 2),
        ("id00012/_raOc3-IRsw", "clips", "id00012", 1),
        ("id00017/7t6lfzvVaTM", "clips", "id00017", 1),
    ]
    assert [pathlib.Path(file).name for file in items[1].files] == ["00002.mp4", "00010.mp4"]
    assert items[1].boxes == () and items[1].source == str(vox2 / "mp4/id00012/21Uxsk56VDQ")
    # The same names, whichever folder is given.
    below = find_inputs([vox2 / "mp4" / "id00012"])
    assert described(below) == described(items)[1:3]
    generic = find_inputs([vox2], options=VoxCelebOptions(layout="generic"))
    assert len(generic) == 5 and all(item.kind == "video" for item in generic)
    with pytest.raises(ValueError, match="two inputs.*id00017/7t6lfzvVaTM"):
        touch(vox2.parent / "test", "id00017/7t6lfzvVaTM/00001.mp4")
        find_inputs([vox2, vox2.parent / "test"])


def test_layout_can_be_asked_for(tmp_path):
    touch(tmp_path / "in", "ann/talk/a.mp4", "ann/talk/b.mp4", "bob/song/a.mp4")
    assert len(find_inputs([tmp_path / "in"])) == 3
    asked = find_inputs([tmp_path / "in"], options=VoxCelebOptions(layout="voxceleb"))
    assert described(asked) == [("ann/talk", "clips", "ann", 2), ("bob/song", "clips", "bob", 1)]
    with pytest.raises(ValueError, match="layout: got 'vox3'"):
        find_inputs([tmp_path / "in"], options=VoxCelebOptions(layout="vox3"))


def test_voxceleb_frames_get_their_identity(tmp_path):
    save_images(tmp_path / "faces" / "A.J._Buckley" / "1.6" / "1zcIwhmdeo4", 3)
    (plain,) = find_inputs([tmp_path / "faces"])
    assert described([plain]) == [("A.J._Buckley/1zcIwhmdeo4", "frames", "A.J._Buckley", 3)]
    options = VoxCelebOptions(names={"A.J._Buckley": "id10001"}, split_list=SplitList({("id10001",): "train"}))
    (named,) = find_inputs([tmp_path / "faces"], options=options)
    assert described([named]) == [("id10001/1zcIwhmdeo4", "frames", "id10001", 3)]


def test_split_takes_its_clips_only(vox2):
    split = SplitList(
        {
            ("id00012", "21Uxsk56VDQ", "00002"): "train",
            ("id00012", "21Uxsk56VDQ", "00010"): "test",
            ("id00017",): "train",
        }
    )
    taken = find_inputs([vox2 / "mp4"], options=VoxCelebOptions(split_list=split))
    assert described(taken) == [
        ("id00012/21Uxsk56VDQ", "clips", "id00012", 1),
        ("id00017/7t6lfzvVaTM", "clips", "id00017", 1),
    ]
    test = find_inputs([vox2 / "mp4"], options=VoxCelebOptions(split_list=split, split="test"))
    assert [pathlib.Path(file).name for item in test for file in item.files] == ["00010.mp4"]


def test_boxes_belong_to_clips_or_to_the_whole_video(vox2):
    touch(vox2 / "videos", "id00012/21Uxsk56VDQ.mp4")
    touch(vox2 / "txt", "id00012/21Uxsk56VDQ/00010.txt")
    options = VoxCelebOptions(boxes=vox2 / "txt")
    folder = vox2 / "txt" / "id00012" / "21Uxsk56VDQ"
    both = str(folder / "00002.txt"), str(folder / "00010.txt")
    clips = find_inputs([vox2 / "mp4"], options=options)[0]
    assert clips.boxes == ((both[0],), (both[1],))
    (whole,) = find_inputs([vox2 / "videos"], options=options)
    assert (whole.kind, whole.video_id, whole.boxes) == ("video", "id00012/21Uxsk56VDQ", (both,))
