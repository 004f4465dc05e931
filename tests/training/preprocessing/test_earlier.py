"""What a second run does, given what the first one wrote: inputs go by their bytes."""

import dataclasses
import os
import shutil

import pytest

from tf_talking.dataset.folder import ACCEPTED, ManifestEntry, rejected_entry
from tf_talking.extraction.content import read_content
from tf_talking.extraction.item import InputItem
from training.preprocessing.earlier import what_to_do


def make(folder, text, name="clips/a.mp4", identity=None, files=("a.mp4",)):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / file for file in files]
    for path in paths:
        path.write_text(text)
    kind = "video" if len(files) == 1 else "photos"
    source = str(paths[0] if len(files) == 1 else folder)
    return InputItem(name, identity or name, kind, source, tuple(map(str, paths)))


def line(item, status=ACCEPTED, **changes):
    if status != ACCEPTED:
        return rejected_entry(item.source, item.video_id, item.identity, "corrupt", content=read_content(item))
    entry = ManifestEntry(item.source, item.video_id, item.identity, ACCEPTED, content=read_content(item))
    return dataclasses.replace(entry, **changes)


def names(plan):
    return [item.video_id for item in plan.todo]


@pytest.mark.parametrize("status", [ACCEPTED, "rejected"])
def test_the_same_bytes_are_done(tmp_path, status):
    item = make(tmp_path / "a", "one")
    lines = [line(item, status)]
    plan = what_to_do([item], lines)
    assert (names(plan), plan.done, plan.notes()) == ([], 1, [])
    # Touched, and copied elsewhere.
    os.utime(tmp_path / "a" / "a.mp4", (1, 1))
    assert what_to_do([item], lines).done == 1
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = dataclasses.replace(item, source=str(tmp_path / "b" / "a.mp4"), files=(str(tmp_path / "b" / "a.mp4"),))
    assert what_to_do([moved], lines).done == 1


def test_bytes_are_not_read_where_nothing_was_touched(tmp_path, monkeypatch):
    item = make(tmp_path, "one")
    lines = [line(item)]
    monkeypatch.setattr("tf_talking.extraction.content.digest", pytest.fail)
    assert what_to_do([item], lines).done == 1


def test_what_was_rejected_is_tried_again_when_its_file_is_another(tmp_path):
    lines = [line(make(tmp_path / "day1", "broken"), "rejected")]
    for folder in ("day1", "day2"):
        plan = what_to_do([make(tmp_path / folder, "whole")], lines)
        assert (names(plan), plan.changed) == (["clips/a.mp4"], ["clips/a.mp4"])
    same = make(tmp_path / "day1", "broken")
    assert names(what_to_do([same], lines)) == []
    assert names(what_to_do([same], lines, try_again=True)) == ["clips/a.mp4"]


def test_a_changed_file_replaces_its_record(tmp_path):
    lines = [line(make(tmp_path, "one"))]
    changed = make(tmp_path, "another")
    plan = what_to_do([changed], lines)
    assert names(plan) == ["clips/a.mp4"] and "1 input changed since an earlier run" in plan.notes()[0]
    lines.append(line(changed))
    assert what_to_do([changed], lines).done == 1
    # Back to what it was first: that record is no longer the one that is read.
    assert names(what_to_do([make(tmp_path, "one")], lines)) == ["clips/a.mp4"]
    # The new file is no good: the record stays, and the file is not tried for ever.
    worse = make(tmp_path, "broken")
    lines.append(line(worse, "rejected"))
    assert what_to_do([worse], lines).done == 1


def test_more_photos_of_a_known_person_are_taken(tmp_path):
    few = make(tmp_path, "photo", "in/photos of ann", "ann", ("1.jpg", "2.jpg"))
    lines = [line(few)]
    assert names(what_to_do([few], lines)) == []
    more = make(tmp_path, "photo", "in/photos of ann", "ann", ("1.jpg", "2.jpg", "3.jpg"))
    plan = what_to_do([more], lines)
    assert names(plan) == ["in/photos of ann"] and plan.changed == names(plan)


def test_another_input_of_the_same_name_gets_its_own(tmp_path):
    monday, tuesday = make(tmp_path / "monday", "one"), make(tmp_path / "tuesday", "two")
    lines = [line(monday)]
    plan = what_to_do([tuesday], lines)
    (todo,) = plan.todo
    assert (todo.video_id, todo.identity) == ("clips/a.mp4 (2)", "clips/a.mp4 (2)")
    assert "tuesday/a.mp4 is kept as 'clips/a.mp4 (2)'" in plan.notes()[0]
    lines.append(line(todo))
    for item in (monday, tuesday):
        assert what_to_do([item], lines).done == 1
    assert names(what_to_do([make(tmp_path / "wednesday", "three")], lines)) == ["clips/a.mp4 (3)"]
    assert names(what_to_do([make(tmp_path / "tuesday", "new")], lines)) == ["clips/a.mp4 (2)"]
    known = make(tmp_path / "friday", "five", identity="ann")
    assert what_to_do([known], lines).todo[0].identity == "ann"


def test_a_corrected_table_is_heard(tmp_path):
    item = make(tmp_path, "one", identity="anna")
    plan = what_to_do([dataclasses.replace(item, identity="ann")], [line(item)])
    assert names(plan) == ["clips/a.mp4"] and "now of another person" in plan.notes()[0]
    # A run that does not say who it is leaves it as it is.
    assert what_to_do([dataclasses.replace(item, identity=item.video_id)], [line(item)]).done == 1


def test_lines_of_an_older_version_count_by_name(tmp_path):
    item = make(tmp_path, "one", identity="ann")
    old = line(item, content=None, source="clips/a.mp4")
    plan = what_to_do([item], [old])
    assert (plan.done, plan.assumed) == (1, 1) and "taken as unchanged" in plan.notes()[0]
    rejected = dataclasses.replace(line(item, "rejected"), content=None)
    assert names(what_to_do([item], [rejected])) == ["clips/a.mp4"]


def test_records_of_files_that_make_other_inputs_now_are_said(tmp_path):
    """Twelve portraits that were taken for one video are, with a table, photos of two people."""
    whole = make(tmp_path / "portraits", "photo", "portraits", files=("1.jpg", "2.jpg", "3.jpg"))
    single = make(tmp_path / "portraits", "photo", "portraits/1.jpg", files=("1.jpg",))
    elsewhere = make(tmp_path / "others", "photo", "others", files=("1.jpg", "2.jpg"))
    lines = [line(whole), line(single), line(elsewhere)]
    ann = make(tmp_path / "portraits", "photo", "portraits/photos of ann", "ann", ("1.jpg", "2.jpg"))
    bob = dataclasses.replace(ann, video_id="portraits/photos of bob", identity="bob", files=whole.files[2:])
    plan = what_to_do([ann, bob], lines)
    assert plan.stale == ["portraits", "portraits/1.jpg"] and len(plan.todo) == 2
    assert "2 records of files that make other inputs now" in plan.notes()[0]
    plan = what_to_do([ann, bob], [line(ann), line(bob)])
    assert (plan.done, plan.stale) == (2, [])
