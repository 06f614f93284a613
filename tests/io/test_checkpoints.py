"""Checkpoints as torch.save writes them, spelled out by hand, since torch is no dependency."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxface.io.checkpoints import load_checkpoint
from jaxface.types import FaceError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char"}
KINDS |= {"u1": "Byte", "b1": "Bool"}
RNG = np.random.default_rng(11)
FLOATS = RNG.normal(size=24).astype(np.float32)


class Global:
    """Pickles as the name of something that need not exist."""

    def __init__(self, module, name):
        self.words = (module, name)


class Call:
    """Pickles as the call of a global."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Built:
    """Pickles as something that is given a state."""

    def __init__(self, item, state):
        self.item, self.state = item, state


class Storage:
    def __init__(self, key, numbers, *, kind=None, announced=None):
        self.key, self.numbers, self.kind = key, numbers, kind or KINDS[numbers.dtype.str[1:]]
        self.announced = len(numbers) if announced is None else announced


class Writer(pickle._Pickler):
    """The version in Python, which can be taught new things."""

    def __init__(self, stream, *, tail):
        super().__init__(stream, protocol=2)
        self.tail = tail

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            kind = Global("torch", f"{obj.kind}Storage")
            return ("storage", kind, obj.key, "cpu", obj.announced, *self.tail)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(b"c" + "\n".join((*obj.words, "")).encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(b"R")
        elif isinstance(obj, Built):
            self.save(obj.item)
            self.save(obj.state)
            self.write(b"b")
        else:
            super().save(obj, save_persistent_id)


def tensor(storage, size, stride, *, offset=0):
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, False, {})


def dumps(obj, *, tail=()):
    stream = io.BytesIO()
    Writer(stream, tail=tail).dump(obj)
    return stream.getvalue()


def legacy(obj, *storages, view=None):
    parts = [pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, {"little_endian": True})]
    parts += [dumps(obj, tail=(view,)), pickle.dumps([storage.key for storage in storages], 2)]
    for storage in storages:
        parts += [len(storage.numbers).to_bytes(8, "little"), storage.numbers.tobytes()]
    return b"".join(parts)


def zipped(obj, *storages, byteorder=b"little", compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("net/data.pkl", dumps(obj))
        archive.writestr("net/byteorder", byteorder)
        for storage in storages:
            archive.writestr(f"net/data/{storage.key}", storage.numbers.tobytes())
        archive.writestr("net/version", "3\n")
    return stream.getvalue()


LAYOUTS = pytest.mark.parametrize("layout", [legacy, zipped])


def write(folder, content):
    path = folder / "net.pth"
    path.write_bytes(content)
    return path


def refuse(path):
    with pytest.raises(FaceError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message
    return message


@LAYOUTS
def test_tensors_are_strided_views_of_storages(tmp_path, layout):
    storage = Storage("0", FLOATS)
    grid = FLOATS.reshape(4, 6)
    state = {
        "whole": tensor(storage, (4, 6), (6, 1)),
        "transposed": tensor(storage, (6, 4), (1, 6)),
        "sliced": tensor(storage, (2, 3), (12, 2), offset=7),
        "scalar": tensor(storage, (), (), offset=23),
        "empty": tensor(storage, (0, 3), (3, 1)),
    }
    found = load_checkpoint(write(tmp_path, layout(state, storage)))
    expected = {"whole": grid, "transposed": grid.T, "sliced": grid[1::2, 1::2], "scalar": grid[3, 5]}
    assert list(found) == list(state)
    for name, array in (expected | {"empty": np.zeros((0, 3), np.float32)}).items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@LAYOUTS
@pytest.mark.parametrize("code", KINDS)
def test_every_type_is_kept(tmp_path, layout, code):
    numbers = (100.0 * RNG.normal(size=6)).astype(np.int8).astype(code)
    storage, other = Storage("4711", numbers), Storage("94012", FLOATS)
    state = {"other": tensor(other, (24,), (1,)), "numbers": tensor(storage, (6,), (1,))}
    found = load_checkpoint(write(tmp_path, layout(state, storage, other)))
    np.testing.assert_array_equal(found["numbers"], numbers, strict=True)
    np.testing.assert_array_equal(found["other"], FLOATS)


@LAYOUTS
def test_bfloat16_becomes_float32(tmp_path, layout):
    storage = Storage("0", (FLOATS.view(np.uint32) >> 16).astype(np.uint16), kind="BFloat16")
    found = load_checkpoint(write(tmp_path, layout({"w": tensor(storage, (24,), (1,))}, storage)))["w"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, FLOATS, rtol=2.0**-7)


@LAYOUTS
def test_the_state_dict_is_unwrapped_and_parameters_are_tensors(tmp_path, layout):
    storage = Storage("0", FLOATS)
    parameter = Call(Global("torch._utils", "_rebuild_parameter"), tensor(storage, (24,), (1,)), True, {})
    found = load_checkpoint(write(tmp_path, layout({"epoch": 62, "state_dict": {"w": parameter}}, storage)))
    assert list(found) == ["w"]
    np.testing.assert_array_equal(found["w"], FLOATS)


@LAYOUTS
@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((4, 6), (7, 1), 0),
        ((2, 2), (10**18, 1), 0),
        ((10**9, 10**9), (0, 0), 0),
        ((-1,), (1,), 0),
        ((3,), (-1,), 5),
        ((3,), (1,), -1),
        ((3,), (1, 1), 0),
        ((3.0,), (1,), 0),
        (3, 1, 0),
    ],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, layout, size, stride, offset):
    storage = Storage("0", FLOATS)
    refuse(write(tmp_path, layout({"w": tensor(storage, size, stride, offset=offset)}, storage)))


@LAYOUTS
@pytest.mark.parametrize("announced", [23, 25, -24, 10**15])
def test_storages_of_another_length_are_refused(tmp_path, layout, announced):
    storage = Storage("0", FLOATS, announced=announced)
    refuse(write(tmp_path, layout({"w": tensor(storage, (4,), (1,))}, storage)))


@LAYOUTS
def test_missing_storages_are_refused(tmp_path, layout):
    refuse(write(tmp_path, layout({"w": tensor(Storage("0", FLOATS), (24,), (1,))})))


@LAYOUTS
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "'epoch'"),
        ({"state_dict": {"w": [1.0]}}, "'w'"),
        ({3: 4}, "3, which is not a tensor"),
        ({}, "no state_dict"),
        ([1, 2], "no state_dict"),
        ({"net": Call(Global("face.models", "MobileNet"), 1)}, "face.models.MobileNet"),
        ({"net": Call(Global("os", "system"), "touch executed")}, "os.system"),
        ({"net": Call(Global("torch.hub", "load"), "a/b")}, "torch.hub.load"),
        ({"net": Built(Storage("0", FLOATS), {"numbers": 1})}, "attributes of a _Storage"),
    ],
)
def test_other_contents_are_named(tmp_path, monkeypatch, layout, content, message):
    monkeypatch.chdir(tmp_path)
    assert message in refuse(write(tmp_path, layout(content)))
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_storages_inside_storages_are_refused(tmp_path):
    storage = Storage("0", FLOATS)
    content = legacy({"w": tensor(storage, (24,), (1,))}, storage, view=("1", 0, 24))
    assert "no state_dict" in refuse(write(tmp_path, content))


def test_unusual_zip_files_say_so(tmp_path):
    storage = Storage("0", FLOATS)
    state = {"w": tensor(storage, (24,), (1,))}
    assert "big-endian" in refuse(write(tmp_path, zipped(state, storage, byteorder=b"big")))
    assert "compressed" in refuse(write(tmp_path, zipped(state, storage, compression=zipfile.ZIP_DEFLATED)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "weights: see the page")
    assert "torch.save" in refuse(write(tmp_path, stream.getvalue()))


def test_foreign_and_missing_files_are_refused(tmp_path):
    assert "not a file" in refuse(tmp_path / "net.pth")
    assert "not a PyTorch checkpoint" in refuse(write(tmp_path, pickle.dumps({"w": FLOATS})))
    assert "another format" in refuse(write(tmp_path, b"<!DOCTYPE html>"))


def sample(layout):
    storage = Storage("0", FLOATS)
    return layout({"w": tensor(storage, (4, 6), (6, 1)), "b": tensor(storage, (4,), (1,))}, storage)


@LAYOUTS
def test_truncated_files_are_refused(tmp_path, layout):
    content = sample(layout)
    for length in range(1, len(content), 17):
        refuse(write(tmp_path, content[:length]))


@LAYOUTS
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_raises_face_errors_only(tmp_path_factory, layout, damage):
    content = bytearray(sample(layout))
    for place, value in damage:
        content[int(place * len(content))] = value
    path = write(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        load_checkpoint(path)
    except FaceError:
        pass


def test_a_real_file(reference_data):
    found = load_checkpoint(reference_data / "3ddfa_v2" / "mb05_120x120.pth")
    assert len(found) == 166
    assert found["module.conv1.weight"].shape == (16, 3, 3, 3)
    assert found["module.fc_param.weight"].shape == (62, 512)
    assert found["module.bn1.num_batches_tracked"].dtype == np.int64
    assert all(np.isfinite(array).all() for array in found.values())
    assert all(np.all(array > 0.0) for name, array in found.items() if name.endswith("running_var"))
