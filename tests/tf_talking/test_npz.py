"""Archives of strangers: equal to NumPy's reading, bombs and lies refused, one kind of error."""

import io
import resource
import struct
import zipfile

import numpy as np
import pytest

from tf_talking.npz import read_npy, read_npz, to_array

LIMIT = 2**20


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB


def test_arrays_are_those_that_numpy_wrote(tmp_path):
    arrays = {
        "numbers": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "scalar": np.float64(3),
        "text": np.array("é"),
        "none": np.zeros((0, 5), np.int16),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = read_npz(tmp_path / "a.npz", LIMIT)
        assert set(found) == set(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == np.asarray(value).dtype and found[name].shape == np.shape(value)
    np.save(tmp_path / "a.npy", arrays["columns"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", LIMIT), arrays["columns"])
    with pytest.raises(ValueError, match="expected at most 100"):
        read_npy(tmp_path / "a.npy", 100)


def npy(value) -> bytes:
    data = io.BytesIO()
    np.save(data, value)
    return data.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    text = (text + " " * 20 + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}"), "in 0 bytes"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}", bytes(4)), "in 4 bytes"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "Object arrays"),
        (header("(" * 5000), ""),
        (header("{'descr': [[[]]], 'fortran_order': False, 'shape': ()}"), ""),
        (header("{'descr': '<f4'}"), ""),
        (b"\x93NUMPY\x03\x00" + bytes(20), "format version"),
        (b"", ""),
        (npy(np.zeros(3))[:-1], "in 23 bytes"),
    ],
    ids=["huge", "negative", "objects", "nested", "strange", "part", "version", "empty", "cut"],
)
def test_headers_that_lie(data, message):
    with pytest.raises(ValueError, match=message):
        to_array(data)


def write(path, members: dict[str, bytes], method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_bombs_of_size_and_of_number(tmp_path):
    zeros = npy(np.zeros(2**17, np.uint8))
    before = peak()
    path = write(tmp_path / "many.npz", {f"{n}.npy": npy(np.uint8(1)) for n in range(65)})
    with pytest.raises(ValueError, match="65 members, expected at most 64"):
        read_npz(path, LIMIT)
    path = write(tmp_path / "sum.npz", {f"{n}.npy": zeros for n in range(9)})  # each of them is small enough
    with pytest.raises(ValueError, match="member '7.npy' has"):
        read_npz(path, LIMIT)
    path = tmp_path / "one.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        for _ in range(256):
            file.write(bytes(2**20))
    with pytest.raises(ValueError, match="member 'a.npy' has 268435456 bytes"):
        read_npz(path, LIMIT)
    # It says to be small, and is not.
    data = bytearray(path.read_bytes())
    for place in (22, data.rindex(b"PK\x01\x02") + 24):  # the member's own header, the index
        assert struct.unpack_from("<L", data, place) == (2**28,)
        struct.pack_into("<L", data, place, 1000)
    path.write_bytes(data)
    with pytest.raises(ValueError):
        read_npz(path, LIMIT)
    assert peak() - before < 50 * 1024
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = write(tmp_path / "other.npz", {"a.npy": zeros}, method)
        with pytest.raises(ValueError, match="packed by method"):
            read_npz(path, LIMIT)


def test_members_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("a.npy", npy(np.uint8(1)))
        archive.writestr("a", npy(np.uint8(2)))
    with pytest.raises(ValueError, match="there twice"):
        read_npz(tmp_path / "twice.npz", LIMIT)


def test_damaged_archives_are_value_errors(tmp_path):
    whole = write(tmp_path / "a.npz", {"a.npy": npy(np.arange(50)), "b.npy": npy(np.array("text"))}).read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(random.integers(1, 5)):
            data[random.integers(len(data))] = random.integers(256)
        (tmp_path / "b.npz").write_bytes(data)
        try:
            read_npz(tmp_path / "b.npz", LIMIT)
        except ValueError:
            refused += 1
    assert refused > 1000
    assert len(read_npz(tmp_path / "a.npz", LIMIT)) == 2
