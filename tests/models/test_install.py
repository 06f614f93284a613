"""Installing: reads, converts, keeps and reads back; the converter, readers and networks are replaced."""

import hashlib
import importlib
import inspect
import pickle
import sys
import types

import numpy as np
import pytest
import tiny_model

from jaxface.models import catalogue, install, store
from jaxface.models.source import SourceModel
from jaxface.types import FaceError

PARAMS = {"net/conv": {"w": np.full((3, 3), 2.0, np.float32)}, "net/fc": {"b": np.zeros(4, np.float32)}}
STATISTICS = {"mean": np.arange(62, dtype=np.float32), "std": np.ones(62, np.float32)}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def calls(monkeypatch):
    """What the replaced reader and converter were given; `result` is what the converter makes, or raises."""
    made = types.SimpleNamespace(read=[], converted=[], result=None)

    def read(path, **settings):
        made.read.append((path, settings))
        model = tiny_model.make_model()
        fields = (
            "mean_mm",
            "expression_names",
            "expression_bounds",
            "triangles",
            "uvs",
            "uv_triangles",
            "ibug_vertices",
        )
        bases = {"identity_mm": model.identity_basis_mm, "expression_mm": model.expression_basis_mm, "colours": None}
        return SourceModel(**{key: getattr(model, key) for key in fields}, **bases, note="Mesh only.")

    def convert(source, *, name, licence, detect):
        made.converted.append((source.note, name, licence))
        if isinstance(made.result, Exception):
            raise made.result
        return made.result or tiny_model.make_model(name=name)

    for name, content in {
        "readers.ict": {"read": read},
        "readers.flame": {"read": read},
        "convert": {"convert": convert},
        "embedding": {"reprojection_errors": lambda model, *, detect: np.array([1.0, 3.0, np.nan])},
    }.items():
        monkeypatch.setitem(sys.modules, f"jaxface.models.{name}", types.SimpleNamespace(**content))
    return made


@pytest.fixture
def networks(monkeypatch):
    def replace(module, **content):
        monkeypatch.setitem(sys.modules, f"jaxface.{module}", types.SimpleNamespace(**content))

    def params_from_checkpoint(state, *, source):
        assert state == {"read": source}
        return PARAMS

    replace("io.checkpoints", load_checkpoint=lambda path: {"read": str(path)})
    replace("io.pickles", load_pickle=lambda path: pickle.loads(path.read_bytes()))
    replace("networks.mobilenet", params_from_checkpoint=params_from_checkpoint)
    replace("networks.bisenet", params_from_checkpoint=params_from_checkpoint)


def test_every_reader_is_there_and_takes_the_parts():
    for entry in catalogue.ENTRIES[1:]:
        module = importlib.import_module(entry.reader)
        function = module.read if entry.kind == "model" else module.params_from_checkpoint
        parameters = inspect.signature(function).parameters
        assert ("part" in parameters) == bool(entry.parts) and ("source" in parameters) == (entry.kind == "network")


def test_the_converter_takes_what_it_is_given():
    parameters = inspect.signature(importlib.import_module("jaxface.models.convert").convert).parameters
    assert {"source", "name", "licence", "detect"} <= parameters.keys()


def test_a_model_is_read_converted_and_kept(calls, tmp_path, home):
    report = install.install("ict", source=tmp_path)
    assert calls.read == [(tmp_path, {})] and calls.converted == [("Mesh only.", "ict", "MIT")]
    assert report.path == home / "models" / "ict.npz" and report.seconds > 0.0
    assert store.resolve("ict").licence == tiny_model.make_model().licence
    note, sizes, near, where = report.sentences
    assert "50%" in near and "2 px" in near and note == "Mesh only." and str(report.path) in where
    assert all(words in sizes for words in ("9 vertices", "4 identity", "4 expression", "475 of 478 landmarks"))
    facts = store.read_facts(report.path)
    assert (facts["note"], facts["source"]) == ("Mesh only.", str(tmp_path))


def test_the_part_reaches_the_reader(calls, tmp_path):
    install.install("ict", source=tmp_path, part="head")
    assert calls.read == [(tmp_path, {"part": "head"})]


@pytest.mark.parametrize(("content", "words"), [(b"head", "is the published"), (b"other", "is not the published")])
def test_whether_a_file_is_the_published_one_is_told(calls, tmp_path, monkeypatch, content, words):
    entry = catalogue.BY_NAME["ict"]._replace(sha256=hashlib.sha256(b"head").hexdigest())
    monkeypatch.setitem(catalogue.BY_NAME, "ict", entry)
    (tmp_path / "ict.zip").write_bytes(content)
    assert words in " ".join(install.install("ict", source=tmp_path / "ict.zip").sentences)


def test_closed_licences_and_joints_are_told(calls, tmp_path):
    calls.result = tiny_model.make_model(name="flame", joints=True)
    report = install.install("flame", source=str(tmp_path))
    assert "see its licence file" in report.sentences[3] and "2 joints" in report.sentences[1]


@pytest.mark.parametrize("error", [FaceError("No face found."), ZeroDivisionError()])
def test_what_fails_leaves_what_was_there(calls, tmp_path, error):
    path = install.install("ict", source=tmp_path).path
    before = path.read_bytes()
    calls.result = error
    with pytest.raises(type(error)):
        install.install("ict", source=tmp_path, part="all")
    assert path.read_bytes() == before and store.resolve("ict").name == "ict"


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("icd", {}, "did you mean ict"),
        ("default", {}, "part of jaxface"),
        ("gnm", {}, "gnm_head.npz.*github.com/google/GNM.*--from"),
        ("bisenet", {}, "79999_iter.pth.*--from"),
        ("ict", {"source": "/nowhere/at/all"}, "/nowhere/at/all does not exist.*FaceXModel"),
        ("ict", {"source": "/", "part": "nose"}, "choose from head, face, all"),
        ("flame", {"source": "/", "part": "face"}, "leave --part away"),
    ],
)
def test_what_cannot_be_installed_is_told(calls, home, name, settings, words):
    with pytest.raises(FaceError, match=words):
        install.install(name, **settings)
    assert calls.read == [] and not home.exists()


def test_without_a_source_it_is_downloaded_and_the_archive_goes(calls, monkeypatch, home):
    fetched = []

    def fetch(url, destination, **settings):
        fetched.append((url, settings))
        destination.parent.mkdir(parents=True)
        destination.touch()

    monkeypatch.setattr(install, "fetch", fetch)
    expected = catalogue.find("ict").download
    install.install("ict", part="all", progress=True)
    assert fetched == [(expected.url, {"sha256": expected.sha256, "folder": "FaceXModel", "progress": True})]
    archive = home / "downloads" / expected.file_name
    assert calls.read == [(archive, {"part": "all"})] and not archive.exists()
    assert store.read_facts(home / "models" / "ict.npz")["source"] == expected.url


def test_a_download_outlives_a_failure(calls, monkeypatch, home):
    monkeypatch.setattr(install, "fetch", lambda url, path, **settings: (path.parent.mkdir(parents=True), path.touch()))
    calls.result = FaceError("No face found.")
    with pytest.raises(FaceError):
        install.install("ict")
    assert (home / "downloads" / catalogue.find("ict").download.file_name).exists()


def test_a_network_is_read_and_kept(networks, tmp_path):
    checkpoint = tmp_path / "79999_iter.pth"
    checkpoint.touch()
    report = install.install("bisenet", source=checkpoint)
    assert "13 parameters in 2 modules" in report.sentences[1]
    network = store.resolve_network("bisenet")
    np.testing.assert_array_equal(network.params["net/conv"]["w"], PARAMS["net/conv"]["w"])
    assert network.extras == {}


@pytest.mark.parametrize("given", ["", "mb1.pth"])
def test_the_regressor_brings_its_statistics(networks, tmp_path, given):
    (tmp_path / "mb1.pth").touch()
    (tmp_path / "param_mean_std_62d_120x120.pkl").write_bytes(pickle.dumps(STATISTICS))
    report = install.install("3ddfa", source=tmp_path / given)
    assert "mb1.pth" in report.sentences[0]
    network = store.resolve_network("3ddfa")
    assert network.params.keys() == PARAMS.keys()
    for name, array in STATISTICS.items():
        np.testing.assert_array_equal(network.extras[name], array)


def test_the_regressors_folder_must_be_clear(networks, tmp_path):
    with pytest.raises(FaceError, match="one checkpoint .*none found"):
        install.install("3ddfa", source=tmp_path)
    (tmp_path / "mb1.pth").touch()
    with pytest.raises(FaceError, match="There is no param_mean_std_62d_120x120.pkl beside"):
        install.install("3ddfa", source=tmp_path)
    (tmp_path / "mb05.pth").touch()
    with pytest.raises(FaceError, match="mb05.pth, mb1.pth found"):
        install.install("3ddfa", source=tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"mean": STATISTICS["mean"]},
        STATISTICS | {"std": np.ones(61)},
        STATISTICS | {"std": np.full(62, np.nan)},
        STATISTICS | {"std": "a"},
        STATISTICS | {"std": np.array(["a"] * 62)},
    ],
)
def test_other_statistics_are_refused(networks, tmp_path, content):
    (tmp_path / "mb1.pth").touch()
    (tmp_path / "param_mean_std_62d_120x120.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(FaceError, match="must hold `mean` and `std` of 62 finite numbers"):
        install.install("3ddfa", source=tmp_path)


def test_the_real_regressor_installs(reference_data):
    report = install.install("3ddfa", source=reference_data / "3ddfa_v2")
    network = store.resolve_network("3ddfa")
    assert network.extras["mean"].shape == network.extras["std"].shape == (62,)
    assert "parameters in" in report.sentences[1]
