import pytest
import tensorflow as tf

from tf_talking.dataset import paths


@pytest.fixture(params=["local", "ram"])
def folder(request, tmp_path):
    path = str(tmp_path / "data") if request.param == "local" else "ram://paths/data"
    tf.io.gfile.makedirs(path)
    with tf.io.gfile.GFile(paths.join(path, "file.bin"), "wb") as file:
        file.write(bytes(range(100)))
    return path


def test_both_kinds_of_paths_read_alike(folder):
    path = paths.join(folder, "file.bin")
    assert paths.is_file(path) and not paths.is_file(folder)
    assert not paths.is_file(paths.join(folder, "other"))
    assert paths.file_size(path) == 100
    assert paths.list_names(folder) == {"file.bin"}
    assert paths.read_bytes(path) == bytes(range(100))
    with paths.open_binary(path) as file:
        file.seek(40)
        assert file.read(3) == bytes([40, 41, 42])


@pytest.mark.parametrize("read", [paths.file_size, paths.list_names, paths.read_bytes])
def test_missing_files_are_named(folder, read):
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        read(paths.join(folder, "nothing_here"))


def test_names_are_joined_without_touching_the_scheme():
    assert paths.join("gs://bucket/data/", "a") == "gs://bucket/data/a"
    assert paths.join("data/", "a") == "data/a"
    assert paths.is_remote("gs://bucket") and not paths.is_remote("/local/data")


def test_an_unknown_file_system_is_named():
    with pytest.raises(ValueError, match="nowhere://data/x: TensorFlow has no file system nowhere"):
        paths.is_file("nowhere://data/x")
