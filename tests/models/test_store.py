"""Installed files: what goes in comes out, and nothing else does."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model

from jaxface.models import catalogue, store
from jaxface.morphable.default import load_default
from jaxface.types import FaceError

PARAMS = {"net/~/conv": {"w": np.ones((3, 3, 1, 2), np.float32)}, "net/~/fc": {"w": np.eye(4), "b": np.zeros(4)}}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    store._load_once.cache_clear()


def install(name, *, model=None):
    path = catalogue.installed_path(catalogue.find(name))
    store.save_model(model or tiny_model.make_model(name=name), path)
    return path


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("joints", [False, True])
def test_a_model_comes_back(tmp_path, joints):
    model = tiny_model.make_model(joints=joints)
    path = tmp_path / "new" / "ict.npz"
    store.save_model(model, path, note="All of it.", source="/there")
    assert_same(store.load_model(path), model)
    assert os.listdir(path.parent) == ["ict.npz"]
    facts = store.read_facts(path)
    assert (facts["note"], facts["source"]) == ("All of it.", "/there")


def test_a_model_without_expressions_comes_back(tmp_path):
    model = tiny_model.make_model()
    model = dataclasses.replace(model, expression_basis_mm=model.expression_basis_mm[:0], expression_names=())
    store.save_model(model, tmp_path / "m.npz")
    assert_same(store.load_model(tmp_path / "m.npz"), model)


def test_the_embedded_model_comes_back(tmp_path):
    store.save_model(load_default(), tmp_path / "m.npz")
    assert_same(store.load_model(tmp_path / "m.npz"), load_default())


def test_numpy_scalars_among_the_static_fields_are_stored(tmp_path):
    model = tiny_model.make_model(joints=True)
    odd = dataclasses.replace(model.articulation, spread=np.float32(0.25), parents=(np.int64(-1), np.int64(0)))
    store.save_model(dataclasses.replace(model, articulation=odd), tmp_path / "m.npz")
    assert_same(store.load_model(tmp_path / "m.npz"), model)


def test_a_network_comes_back_as_float32(tmp_path):
    store.save_network(PARAMS, tmp_path / "n.npz", extras={"mean": np.arange(3.0)}, source="/there")
    network = store.load_network(tmp_path / "n.npz")
    assert {key: list(module) for key, module in network.params.items()} == {
        "net/~/conv": ["w"],
        "net/~/fc": ["w", "b"],
    }
    for module, arrays in PARAMS.items():
        for name, array in arrays.items():
            assert network.params[module][name].dtype == np.float32
            np.testing.assert_array_equal(network.params[module][name], array)
    assert list(network.extras) == ["mean"] and network.extras["mean"].tolist() == [0.0, 1.0, 2.0]
    assert store.read_facts(tmp_path / "n.npz")["source"] == "/there"


def test_a_large_model_loads_at_once(tmp_path):
    model, count = tiny_model.make_model(), 9_400
    random = np.random.default_rng(0)
    model = dataclasses.replace(
        model,
        mean_mm=jnp.zeros((count, 3)),
        identity_basis_mm=jnp.asarray(random.standard_normal((100, count, 3)), jnp.float32),
        expression_basis_mm=jnp.asarray(random.standard_normal((53, count, 3)), jnp.float32),
        expression_names=tuple(f"e{place}" for place in range(53)),
        vertex_regions=jnp.zeros(count, jnp.int32),
        vertex_parts=jnp.zeros(count, jnp.int32),
        albedo=jnp.zeros((count, 3)),
    )
    store.save_model(model, tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
    start = time.process_time()  # of this process, whatever else the machine does
    jax.block_until_ready(store.load_model(tmp_path / "m.npz"))
    assert time.process_time() - start < 5.0  # 0.1 s on an idle core


def rewrite(path, *, facts=None, compressed=False, **arrays):
    """The file with some facts and arrays replaced, None being removal."""
    with np.load(path) as stored:
        contents = {key: stored[key] for key in stored.files}
    known = json.loads(str(contents["facts"])) | (facts or {})
    contents["facts"] = np.array(json.dumps({key: value for key, value in known.items() if value is not None}))
    contents |= arrays
    save = np.savez_compressed if compressed else np.savez
    save(path, **{key: value for key, value in contents.items() if value is not None})


def with_nan(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 4, np.nan, array).astype(np.float32)


MODEL = tiny_model.make_model(joints=True)
JOINTS = {"corrected": [1], "parents": [-1, 0], "names": ["root", "jaw"], "free": [1], "spread": 0.25}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean_mm": None}, "missing or too many: mean_mm"),
        ({"more": np.zeros(3)}, "missing or too many: more"),
        ({"mean_mm": np.zeros((8, 3), np.float32)}, "does not fit"),
        ({"mean_mm": np.zeros((9, 2), np.float32)}, "mean_mm"),
        ({"mean_mm": np.zeros((9, 3))}, "float64"),
        ({"mean_mm": np.zeros(27, np.float32)}, "shape"),
        ({"albedo": with_nan(MODEL.albedo)}, "not finite"),
        ({"triangles": MODEL.triangles + np.int32(6)}, "triangles leaves the range from 0 to 8"),
        ({"triangles": -MODEL.triangles}, "leaves the range"),
        ({"uv_triangles": MODEL.uv_triangles + np.int32(6)}, "uv_triangles leaves"),
        ({"landmark_triangles": MODEL.landmark_triangles + np.int32(4)}, "landmark_triangles leaves"),
        ({"landmark_regions": MODEL.landmark_regions + np.int32(5)}, "landmark_regions leaves"),
        ({"ibug_vertices": MODEL.ibug_vertices - np.int32(1)}, "ibug_vertices leaves"),
        ({"ibug_vertices": np.zeros(67, np.int32)}, "does not fit"),
        ({"identity_basis_mm": np.zeros((5, 9, 3), np.float32)}, "does not fit"),
        ({"articulation.weights": np.zeros((9, 3), np.float32)}, "does not fit"),
        ({"articulation.correctives_mm": np.zeros((18, 9, 3), np.float32)}, "joints do not fit"),
        ({"facts": {"expression_names": ["a"]}}, "expression_names"),
        ({"facts": {"expression_names": [1, 2, 3, 4]}}, "expression_names"),
        ({"facts": {"expression_names": "abcd"}}, "expression_names"),
        ({"facts": {"expression_bounds": [1.0, 1.0]}}, "expression_bounds"),
        ({"facts": {"expression_bounds": [1.0]}}, "cannot be used"),
        ({"facts": {"expression_bounds": ["a", "b"]}}, "cannot be used"),
        ({"facts": {"name": 3}}, "name"),
        ({"facts": {"licence": None}}, "licence"),
        ({"facts": {"articulation": None}}, "too many"),
        ({"facts": {"articulation": JOINTS | {"parents": [0, -1]}}}, "parents"),
        ({"facts": {"articulation": JOINTS | {"parents": [-1, -2]}}}, "parents"),
        ({"facts": {"articulation": JOINTS | {"names": ["root"]}}}, "names"),
        ({"facts": {"articulation": JOINTS | {"free": [2]}}}, "free"),
        ({"facts": {"articulation": JOINTS | {"free": [0, 1]}}}, "do not fit"),
        ({"facts": {"articulation": JOINTS | {"spread": -1.0}}}, "spread"),
        ({"facts": {"articulation": [1]}}, "cannot be used"),
        ({"facts": {"kind": "network"}}, "holds a network"),
        ({"facts": {"kind": None}}, "cannot be used"),
        ({"facts": {"format": store.FORMAT - 1}}, "another version of jaxface"),
        ({"facts": {"format": None}}, "cannot be used"),
        ({"compressed": True}, "compressed"),
    ],
)
def test_unsound_files_are_refused(tmp_path, changes, words):
    path = tmp_path / "flame.npz"
    store.save_model(MODEL, path)
    rewrite(path)
    assert_same(store.load_model(path), MODEL)  # what `rewrite` leaves alone stays sound
    rewrite(path, **changes)
    with pytest.raises(FaceError, match=words) as caught:
        store.load_model(path)
    assert "run `jaxface models install flame` again" in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("load", [store.load_model, store.load_network, store.read_facts])
def test_other_files_are_refused(tmp_path, load):
    text, array, objects, bare, folder = (tmp_path / f"{name}.npz" for name in "abcde")
    text.write_text("hello")
    with array.open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(objects, facts=np.array([{}], object))
    np.savez(bare, facts=np.array("[1]"))
    folder.mkdir()
    for path in (text, array, objects, bare, folder, tmp_path / "none.npz"):
        with pytest.raises(FaceError, match="install"):
            load(path)


@pytest.mark.parametrize("kind", ["model", "network"])
def test_damaged_bytes_are_refused_or_harmless(tmp_path, kind):
    path = tmp_path / "m.npz"
    if kind == "model":
        store.save_model(MODEL, path)
        load = store.load_model
    else:
        store.save_network(PARAMS, path, extras={"mean": np.zeros(3)})
        load = store.load_network
    good, data = load(path), path.read_bytes()
    random = np.random.default_rng(3)
    refused = 0
    for trial in range(100):
        bad = bytearray(data)
        if trial % 4 == 0:
            bad = bad[: random.integers(len(data))]
        else:
            start = 0 if trial % 2 else len(data) - 3000  # the zip's own directory is at the end
            for place in random.integers(max(start, 0), len(data), 1 + trial % 3):
                bad[place] ^= 1 << random.integers(8)
        path.write_bytes(bad)
        try:
            assert_same(load(path), good)
        except FaceError:
            refused += 1
    assert refused >= 60


def test_an_unsound_model_is_not_saved(tmp_path):
    path = install("ict")
    before = path.read_bytes()
    model = tiny_model.make_model()
    for bad in (
        dataclasses.replace(model, albedo=model.albedo.at[0, 0].set(jnp.inf)),
        dataclasses.replace(model, expression_names=("a",)),
    ):
        with pytest.raises(FaceError, match="not sound"):
            store.save_model(bad, path)
    with pytest.raises(FaceError, match="finite"):
        store.save_network({"a": {"w": np.array([np.nan])}}, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_file(monkeypatch, error):
    path = install("ict")
    before = path.read_bytes()

    def stop(file, **arrays):
        file.write(before[:100])
        raise error

    monkeypatch.setattr(np, "savez", stop)
    expected = (
        pytest.raises(FaceError, match="No space left")
        if isinstance(error, OSError)
        else pytest.raises(KeyboardInterrupt)
    )
    with expected:
        install("ict")
    assert path.read_bytes() == before and os.listdir(path.parent) == ["ict.npz"]


def test_a_kill_leaves_nothing_installed(tmp_path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(pathlib.Path(tiny_model.__file__).parent)!r})
import numpy as np, tiny_model
from jaxface.models import store
def stop(file, **arrays):
    file.write(b"PK half of it"); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
np.savez = stop
store.save_model(tiny_model.make_model(), {str(tmp_path / "ict.npz")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "ict.npz").exists() and len(list(tmp_path.glob(".jaxface-*/ict.npz"))) == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FaceError, match="JAXFACE_HOME"):
        store.save_model(MODEL, tmp_path / "file" / "ict.npz")


def test_without_a_name_the_best_open_model_is_taken():
    assert store.resolve(None) is load_default() and store.resolve("default") is load_default()
    install("bfm2009")
    assert store.resolve(None) is load_default()
    install("gnm")
    assert store.resolve(None).name == "gnm"
    install("ict")
    assert store.resolve(None).name == "ict" and store.resolve("bfm2009").name == "bfm2009"
    assert store.resolve("default") is load_default()


def test_a_broken_favourite_is_not_passed_over():
    install("gnm")
    install("ict").write_bytes(b"broken")
    with pytest.raises(FaceError, match="models install ict` again"):
        store.resolve(None)
    assert store.resolve("gnm").name == "gnm"


def test_a_file_is_read_again_only_when_it_changed():
    path = install("ict")
    first = store.resolve("ict")
    assert store.resolve("ict") is first and store.resolve(None) is first
    install("ict", model=tiny_model.make_model(joints=True))
    os.utime(path, ns=(1, 1))
    assert store.resolve("ict").articulation is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("icd", "did you mean ict"),
        ("nothing-like-it", "bfm2009"),
        ("../ict", "not a known"),
        ("gnm", "install gnm --from=PATH"),
        ("ict", "run `jaxface models install ict`"),
        ("bisenet", "is a network, not a model"),
    ],
)
def test_what_cannot_be_resolved_says_how(name, words):
    with pytest.raises(FaceError, match=words):
        store.resolve(name)


def test_a_file_under_another_name_is_refused():
    install("ict").rename(catalogue.installed_path(catalogue.find("flame")))
    with pytest.raises(FaceError, match="holds the model ict"):
        store.resolve("flame")


def test_networks_are_resolved_by_name():
    with pytest.raises(FaceError, match="models install bisenet --from=PATH"):
        store.resolve_network("bisenet")
    with pytest.raises(FaceError, match="is a model, not a network"):
        store.resolve_network("ict")
    store.save_network(PARAMS, catalogue.installed_path(catalogue.find("bisenet")))
    assert list(store.resolve_network("bisenet").params) == list(PARAMS)
