"""Pickles of arrays from all ages are read; whatever else a pickle asks for is named and not run."""

import builtins
import collections
import os
import pathlib
import pickle
import re
import sys
import types

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxface.io.pickles import load_pickle
from jaxface.types import FaceError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
RNG = np.random.default_rng(5)
ARRAYS = {
    "double": RNG.normal(size=(3, 4)),
    "fortran": np.asfortranarray(RNG.normal(size=(3, 4)).astype(np.float32)),
    "turned": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(20)[::3],
    "big_endian": np.arange(5, dtype=">i4"),
    "flags": np.array([True, False]),
    "indices": np.array([2**32 - 1], np.uint32),
    "empty": np.zeros((0, 3)),
    "single": np.array(2.5),
    "words": np.array(["jaw", "neck"]),
    "letters": np.array([b"x", b"yz"]),
    "objects": np.array([[np.arange(3), "a"], [None, 1.5]], dtype=object),
}


def write(folder: pathlib.Path, content: bytes) -> pathlib.Path:
    path = folder / "model.pkl"
    path.write_bytes(content)
    return path


def refuse(path: pathlib.Path) -> str:
    with pytest.raises(FaceError) as caught:
        load_pickle(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, name, protocol):
    array = ARRAYS[name]
    found = load_pickle(write(tmp_path, pickle.dumps(array, protocol)))
    assert found.shape == array.shape and found.dtype == array.dtype.newbyteorder("=")
    for one, other in zip(found.flat, array.flat, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_containers_keep_their_kinds(tmp_path, protocol):
    shared = np.arange(4.0)
    data = {
        "list": [1, -(2**70), 2.5, None, True, "é", b"\xff\0", b"", shared],
        "tuple": (np.float32(1.5), np.int64(-3), {"deep": (shared, [])}),
        "set": {1, 2},
        7: collections.OrderedDict([("z", 1), ("a", shared)]),
    }
    found = load_pickle(write(tmp_path, pickle.dumps(data, protocol)))
    for array in (found["list"].pop(), found["tuple"][2]["deep"][0], found[7]["a"]):
        np.testing.assert_array_equal(array, shared)
    assert found["list"] == data["list"][:-1]
    assert found["tuple"][:2] == data["tuple"][:2] and type(found["tuple"][0]) is np.float32
    assert found["set"] == data["set"]
    assert type(found[7]) is collections.OrderedDict and list(found[7]) == ["z", "a"]


def test_sharing_and_cycles_are_kept(tmp_path):
    inner = [np.arange(3)]
    data = {"one": inner, "other": inner}
    data["self"] = data
    found = load_pickle(write(tmp_path, pickle.dumps(data)))
    assert found["one"] is found["other"] and found["self"] is found
    doubled = [0]
    for _ in range(200):  # 2^200 items, if sharing were lost
        doubled = [doubled, doubled]
    assert len(load_pickle(write(tmp_path, pickle.dumps(doubled)))) == 2


OLD_MODULES = {b"numpy._core": b"numpy.core", b"scipy.sparse._": b"scipy.sparse."}


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("layout", ["csc", "csr"])
@pytest.mark.parametrize("old", [False, True])
def test_sparse_matrices(tmp_path, layout, protocol, old):
    dense = np.where(RNG.uniform(size=(5, 9)) < 0.3, 1.5, 0.0)
    content = pickle.dumps({"J_regressor": getattr(scipy.sparse, f"{layout}_matrix")(dense)}, protocol)
    for new, former in OLD_MODULES.items():
        assert new in content
        content = content.replace(new, former) if old else content
    found = load_pickle(write(tmp_path, content))["J_regressor"]
    assert found.format == layout and scipy.sparse.issparse(found)
    np.testing.assert_array_equal(found.toarray(), dense)


def shell(module: str, name: str, state: object) -> bytes:
    """A pickle of an object of any class with that state, as protocol 2 has it."""
    body = pickle.dumps(state, 2)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81" + body[2:-1] + b"b."


@pytest.mark.parametrize(
    "change",
    [
        {"indices": np.array([0, 99], np.int32)},
        {"indices": np.array([0, -1], np.int32)},
        {"indices": np.array([0.0, 1.0])},
        {"indptr": np.array([0, 1, 1, 90], np.int32)},
        {"_shape": (-2, 3)},
        {"data": np.array([None, None])},
        {"data": 5},
    ],
)
def test_sparse_matrices_that_would_crash_are_refused(tmp_path, change):
    state = {"_shape": (2, 3), "data": np.ones(2), "indices": np.array([0, 1], np.int32)}
    state["indptr"] = np.array([0, 1, 1, 2], np.int32)
    good = load_pickle(write(tmp_path, shell("scipy.sparse.csc", "csc_matrix", state)))
    assert good.toarray().tolist() == [[1, 0, 0], [0, 0, 1]]
    old = {"shape" if name == "_shape" else name: part for name, part in state.items()}
    old = load_pickle(write(tmp_path, shell("scipy.sparse.csc", "csc_matrix", old)))
    assert np.array_equal(old.toarray(), good.toarray())
    refuse(write(tmp_path, shell("scipy.sparse.csc", "csc_matrix", state | change)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chumpy_arrays_without_chumpy(tmp_path, monkeypatch, protocol):
    module = types.ModuleType("chumpy.ch")
    exec("class Ch: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    module.Ch.__module__ = "chumpy.ch"
    array = module.Ch()
    array.__dict__ |= {"x": np.arange(6.0).reshape(2, 3), "_dirty_vars": set(), "_itr": None, "_status": "new"}
    content = pickle.dumps({"shapedirs": array, "again": array}, protocol)
    monkeypatch.undo()
    found = load_pickle(write(tmp_path, content))
    np.testing.assert_array_equal(found["shapedirs"], np.arange(6.0).reshape(2, 3))
    assert type(found["shapedirs"]) is np.ndarray and found["again"] is found["shapedirs"]


# What Python 2.7 with numpy 1.x writes for {'f': array([[1, 254]], uint8), 'name': 'caf\xe9'}.
PYTHON_2 = {
    0: b"(dp0\nS'f'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
    b"(I1\n(I1\nI2\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
    b"S'\\x01\\xfe'\np15\ntp16\nbsS'name'\np17\nS'caf\\xe9'\np18\ns.",
    2: b"\x80\x02}q\x01(U\x01fcnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq"
    b"\x04(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff"
    b"\xff\xff\xffK\x00tb\x89U\x02\x01\xfetbU\x04nameU\x04caf\xe9u.",
}


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_python_2_pickles(tmp_path, protocol):
    found = load_pickle(write(tmp_path, PYTHON_2[protocol]))
    assert found["f"].tolist() == [[1, 254]] and found["f"].dtype == np.uint8
    assert found["name"] == "café"


def test_python_2_objects_of_protocol_0(tmp_path):
    content = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR(dS'x'\nF1.5\nsb."
    assert load_pickle(write(tmp_path, content)) == 1.5
    assert load_pickle(write(tmp_path, b"c__builtin__\nset\n((lI3\natR.")) == {3}


class Bait:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def explode(*_):
    raise AssertionError("a pickle was executed")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "bait",
    [
        Bait(os.system, "touch executed"),
        Bait(eval, "open('executed', 'w')"),
        Bait(exec, "open('executed', 'w')"),
        Bait(getattr, {}, "keys"),
        Bait(__import__, "this"),
        Bait(open, "executed", "w"),
        Bait(np.load, "executed"),
        Bait(np.fromfile, "executed"),
        Bait(np.zeros, 10),
        Bait(type, "A", (), {}),
        Bait(scipy.sparse.load_npz, "executed"),
        Bait(pathlib.Path, "executed"),
        Bait(explode),
    ],
    ids=lambda bait: bait.call[0].__name__,
)
def test_malicious_pickles_run_nothing_and_are_named(tmp_path, monkeypatch, bait, protocol):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, pickle.dumps({"a": [np.arange(3), bait]}, protocol))
    monkeypatch.setattr(builtins, "__import__", explode)
    message = refuse(path)
    monkeypatch.undo()
    assert re.search(rf"asks for \S+\.{bait.call[0].__name__}", message)
    assert sorted(os.listdir(tmp_path)) == ["model.pkl"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"cposix\nsystem\n(S'touch executed'\ntR.", "posix.system"),
        (b"(S'touch executed'\niposix\nsystem\n.", "posix.system"),
        (b"(cposix\nsystem\nS'touch executed'\no.", "posix.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x0fset.__class__.x\x93.", "builtins.set.__class__"),
        (b"\x80\x04\x8c\x05numpy\x8c\x08f2py.abc\x93.", "numpy.f2py.abc"),
        (b"\x80\x04\x8c\x05numpy\x8c\x04a\nb \x93.", r"numpy.a\nb"),
        (b"\x80\x02\x82\x07.", "copyreg"),
        (b"c_codecs\nencode\n}X\x0c\x00\x00\x00__defaults__)sb.", "attributes of a function"),
        (b"cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.", "attributes of a type"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.", "hex"),
    ],
)
def test_opcodes_by_hand_reach_nothing(tmp_path, monkeypatch, content, name):
    monkeypatch.chdir(tmp_path)
    assert name in refuse(write(tmp_path, content))
    assert os.listdir(tmp_path) == ["model.pkl"]


def test_persistent_ids_and_out_of_band_buffers_are_refused(tmp_path):
    refuse(write(tmp_path, b"\x80\x02K\x01Q."))
    refuse(write(tmp_path, b"\x80\x05\x97."))


def test_bombs_cost_nothing(tmp_path):
    refuse(write(tmp_path, b"\x80\x04]r\xff\xff\xff\x7f" + b"0" * 3))  # would be 16 GB of memo in C
    refuse(write(tmp_path, b"cbuiltins\nbytes\n(I100000000000\ntR."))
    state = (1, (10**6, 10**6), np.dtype("f4"), False, b"1234")
    refuse(write(tmp_path, shell("numpy", "ndarray", state)))


@pytest.mark.parametrize(
    "again",
    [
        b"h\x00h\x01\x85R",  # the same text as bytes
        b"cnumpy\nndarray\n)\x81(K\x01J\x40\x42\x0f\x00\x85h\x02\x89h\x03tb",  # the same bytes as an array
        b"cbuiltins\nset\nh\x04\x85R",  # the same list as a set
    ],
)
def test_the_same_again_and_again_does_not_fill_the_memory(tmp_path, again):
    """Memo: 0 encode, 1 a text of 1 MB, 2 a dtype, 3 its bytes, 4 a list of numbers."""
    kept = b"\x80\x02c_codecs\nencode\nq\x00X\x40\x42\x0f\x00" + b"a" * 10**6 + b"q\x01"
    kept += b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85Rq\x02h\x00h\x01\x85Rq\x03"
    kept += b"](" + b"".join(b"M" + number.to_bytes(2, "little") for number in range(20000)) + b"eq\x04"
    assert len(load_pickle(write(tmp_path, kept + b"](" + 2 * again + b"e."))) == 2
    assert "far more than it holds" in refuse(write(tmp_path, kept + b"](" + 100 * again + b"e."))


def test_arrays_that_others_may_show_parts_of_are_not_made_anew(tmp_path):
    state = pickle.dumps((1, (3,), np.dtype("f4"), False, b"123456789012"), 2)[2:-1]
    content = b"\x80\x02cnumpy\nndarray\n)\x81" + state + b"b" + state + b"b."
    assert "made twice" in refuse(write(tmp_path, content))


@pytest.mark.parametrize("dtype", [[("a", "f4"), ("b", "i4")], "datetime64[s]", "V4"])
def test_records_and_dates_say_so(tmp_path, dtype):
    assert "only plain numbers" in refuse(write(tmp_path, pickle.dumps(np.zeros(3, dtype))))


def test_missing_empty_and_foreign_files_are_refused(tmp_path):
    assert "not a file" in refuse(tmp_path / "model.pkl")
    assert "not a file" in refuse(tmp_path)
    assert "0 bytes" in refuse(write(tmp_path, b""))
    assert "another format" in refuse(write(tmp_path, b"\x89HDF\r\n\x1a\n"))
    assert "another format" in refuse(write(tmp_path, b"MATLAB 5.0 MAT-file"))


def sample() -> bytes:
    matrix = scipy.sparse.csc_matrix(np.eye(4))
    return pickle.dumps({"f": np.arange(12, dtype=np.uint32).reshape(4, 3), "J": matrix, "style": ("lbs", 1.5)}, 2)


def test_truncated_files_are_refused(tmp_path):
    content = sample()
    for length in range(1, len(content), 13):
        refuse(write(tmp_path, content[:length]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_raises_face_errors_only(tmp_path_factory, damage):
    content = bytearray(sample())
    for place, value in damage:
        content[int(place * len(content))] = value
    path = write(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        load_pickle(path)
    except FaceError:
        pass


def test_a_real_file(reference_data):
    found = load_pickle(reference_data / "3ddfa_v2" / "param_mean_std_62d_120x120.pkl")
    assert {name: (array.shape, array.dtype.name) for name, array in found.items()} == {
        "mean": ((62,), "float32"),
        "std": ((62,), "float32"),
    }
    assert np.all(found["std"] > 0.0)
    assert 3e-4 < found["mean"][0] < 6e-4  # pixels of the crop per micrometre
