"""The serving folder: whole versions only, models.config, names."""

import os
import threading

import pytest

from tf_talking.served.folder import ServingFolder


def write(text):
    def writer(path):
        path.mkdir()
        (path / "saved_model.pb").write_text(text)

    return writer


def test_versions_count_up_and_models_config_lists_each_model_once(tmp_path):
    folder = ServingFolder(tmp_path / "serving", base_path="/models/")
    assert folder.publish("generator", write("a")).name == "1"
    assert folder.publish("generator", write("b")).name == "2"
    folder.publish("person_ann", write("c"))
    assert folder.versions("generator") == [1, 2]
    listed = folder.read_models_config().model_config_list.config
    assert [(m.name, m.base_path) for m in listed] == [
        ("generator", "/models/generator"),
        ("person_ann", "/models/person_ann"),
    ]
    assert {m.model_platform for m in listed} == {"tensorflow"}


def test_later_models_lie_where_the_server_sees_the_first(tmp_path):
    ServingFolder(tmp_path, base_path="/models").publish("generator", write("a"))
    ServingFolder(tmp_path).publish("person_ann", write("b"))
    ServingFolder(tmp_path, base_path="/elsewhere").publish("person_bob", write("c"))
    listed = ServingFolder(tmp_path).read_models_config().model_config_list.config
    assert [model.base_path for model in listed] == ["/models/generator", "/models/person_ann", "/elsewhere/person_bob"]


def test_without_a_base_path_the_folder_is_called_by_its_absolute_path(tmp_path):
    folder = ServingFolder(tmp_path)
    folder.publish("generator", write("a"))
    (listed,) = folder.read_models_config().model_config_list.config
    assert listed.base_path == str(tmp_path / "generator")


def test_a_version_is_invisible_until_it_is_whole(tmp_path):
    folder = ServingFolder(tmp_path)

    def slow(path):
        path.mkdir()
        assert folder.versions("generator") == []
        assert not any(p.name.isdigit() for p in (tmp_path / "generator").iterdir())

    folder.publish("generator", slow)
    assert folder.versions("generator") == [1]


def test_a_failed_write_leaves_nothing(tmp_path):
    folder = ServingFolder(tmp_path)

    def fails(path):
        path.mkdir()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.publish("generator", fails)
    assert list((tmp_path / "generator").iterdir()) == []
    assert not folder.models_config.exists()


def test_models_that_belong_together_appear_under_one_number(tmp_path):
    folder = ServingFolder(tmp_path)
    folder.publish("generator", write("a"))
    both = {"embedder": write("e"), "generator": write("g")}
    published = folder.publish_together(both)
    assert published == {name: tmp_path / name / "2" for name in both}
    assert folder.versions("embedder") == [2] and folder.versions("generator") == [1, 2]
    listed = folder.read_models_config().model_config_list.config
    assert [entry.name for entry in listed] == ["generator", "embedder"]
    folder.publish("embedder", write("e"))  # as where a kill came between the two
    assert set(folder.publish_together(both).values()) == {tmp_path / name / "4" for name in both}


@pytest.mark.parametrize("fails_at", ["write", "rename", "register"])
def test_both_models_appear_or_neither(tmp_path, monkeypatch, fails_at):
    folder = ServingFolder(tmp_path)
    rename, renames = os.rename, []

    def fails(*_):
        raise OSError("disk full")

    def second_fails(source, target):
        renames.append(target)
        fails() if len(renames) == 2 else rename(source, target)

    writers = {"embedder": write("e"), "generator": fails if fails_at == "write" else write("g")}
    if fails_at == "rename":
        monkeypatch.setattr(os, "rename", second_fails)
    if fails_at == "register":
        monkeypatch.setattr(ServingFolder, "_register", fails)
    with pytest.raises(OSError, match="disk full"):
        folder.publish_together(writers)
    monkeypatch.undo()
    for name in writers:
        assert not folder.versions(name) and not list((tmp_path / name).glob("*"))
    assert not folder.models_config.exists()


def test_writers_at_once_get_versions_of_their_own(tmp_path):
    folder = ServingFolder(tmp_path)
    threads = [threading.Thread(target=folder.publish, args=(f"person_{i % 3}", write(str(i)))) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [folder.versions(f"person_{i}") for i in range(3)] == [[1, 2, 3, 4]] * 3
    assert len(folder.read_models_config().model_config_list.config) == 3


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, "white space"])
def test_names_that_are_no_folder_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        ServingFolder(tmp_path).publish(name, write(""))


def test_broken_models_config_is_named(tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {")
    with pytest.raises(ValueError, match="models.config"):
        ServingFolder(tmp_path).read_models_config()
