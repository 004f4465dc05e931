import pathlib

import numpy as np
import PIL.Image
import pytest

from tf_talking.data.inputs import Identities, find_inputs


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
    assert [i.identity for i in find_inputs([tmp_path / "in"], other)][:2] == [
        "in/1/a.mp4",
        "in/2/a.mp4",
    ]


def test_identity_from_folder(tmp_path):
    touch(tmp_path / "in", "ann/x/a.mp4", "bob/b.mp4", "c.mp4")
    found = find_inputs([tmp_path / "in"], identity_from="folder")
    assert [item.identity for item in found] == ["ann", "bob", "in/c.mp4"]


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
