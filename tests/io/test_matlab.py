"""MATLAB files as SciPy writes and reads them, and damaged ones, of which only FaceError may come."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from jaxface.io import matlab
from jaxface.io.matlab import parse_matlab
from jaxface.types import FaceError

RNG = np.random.default_rng(0)
KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
ARRAYS = {f"of_{kind}": (100 * RNG.uniform(size=(3, 4))).astype(kind) for kind in KINDS}
ARRAYS |= {
    "cube": RNG.normal(size=(2, 3, 4)),
    "none": np.zeros((0, 3)),
    "one": np.array([[7.0]]),
    "x": np.ones((1, 3), "u1"),
}
OTHERS = {"text": "words", "cell": np.array([1, "a"], object), "complex": np.array([[1j]])}


def saved(path, values, *, compress=False) -> bytes:
    scipy.io.savemat(path, values, do_compression=compress)
    return path.read_bytes()


@pytest.mark.parametrize("compress", [False, True])
def test_reads_what_scipy_writes(tmp_path, compress):
    found = parse_matlab(saved(tmp_path / "a.mat", ARRAYS | OTHERS, compress=compress), path="a.mat")
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("compress", [False, True])
def test_reads_structures(tmp_path, compress):
    inner = {"deep": {"of_f4": ARRAYS["of_f4"]}, "text": "words"}
    found = parse_matlab(saved(tmp_path / "a.mat", {"model": ARRAYS | inner}, compress=compress), path="a.mat")
    assert set(found["model"]) == {*ARRAYS, "deep"}
    np.testing.assert_array_equal(found["model"]["cube"], ARRAYS["cube"])
    np.testing.assert_array_equal(found["model"]["deep"]["of_f4"], ARRAYS["of_f4"])


def element(kind, content, order):
    return struct.pack(order + "II", kind, len(content)) + content + bytes(-len(content) % 8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_stored_smaller_than_meant_in_either_byte_order(order):
    """MATLAB writes doubles that happen to be whole as integers."""
    parts = element(6, struct.pack(order + "II", 6, 0), order) + element(5, struct.pack(order + "ii", 2, 3), order)
    parts += element(1, b"tl", order) + element(4, np.arange(6).astype(order + "u2").tobytes(), order)
    header = b"MATLAB 5.0".ljust(124) + struct.pack(order + "H", 0x0100) + {"<": b"IM", ">": b"MI"}[order]
    plain = element(14, parts, order)
    packed = zlib.compress(plain)
    for data in (header + plain, header + struct.pack(order + "II", 15, len(packed)) + packed):
        array = parse_matlab(data, path="a.mat")["tl"]
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(600), bytes(1000)])
def test_other_files_say_so(content):
    with pytest.raises(FaceError, match="a.mat: it is not a complete MATLAB 5 file"):
        parse_matlab(content, path="a.mat")


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    content = saved(tmp_path / "a.mat", {"zeros": np.zeros((100, 100))}, compress=True)
    assert "zeros" in parse_matlab(content, path="a.mat")
    monkeypatch.setattr(matlab, "MAX_BYTES", 1000)
    with pytest.raises(FaceError, match="larger than a face model"):
        parse_matlab(content, path="a.mat")


@pytest.mark.parametrize("compress", [False, True])
def test_damaged_files_raise_nothing_else(tmp_path, compress):
    content = saved(tmp_path / "a.mat", {"model": ARRAYS, **ARRAYS}, compress=compress)
    rng = np.random.default_rng(1)
    faults = 0
    for trial in range(300):
        copy = bytearray(content)
        for place in rng.integers(120, len(copy), size=trial % 6):
            copy[place] = rng.integers(256)
        try:
            parse_matlab(bytes(copy[: len(copy) if trial % 2 else rng.integers(len(copy))]), path="a.mat")
        except FaceError:
            faults += 1
    assert faults > 100
