"""The table of models and networks, and where they lie."""

import pathlib

import pytest

from jaxface.models import catalogue

ENTRIES = catalogue.ENTRIES


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))


def put(*names):
    for name in names:
        path = catalogue.installed_path(catalogue.find(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_table_is_complete_and_sound():
    names = [entry.name for entry in ENTRIES]
    models = {"default", "ict", "gnm", "bfm2009", "bfm2017", "deep3d", "3ddfa_v2", "flame"}
    assert len(set(names)) == len(names) and set(names) == models | {"3ddfa", "bisenet"}
    for entry in ENTRIES:
        assert entry.kind == ("model" if entry.name in models else "network")
        assert all((entry.title, entry.licence, entry.url, entry.source)) and entry.adds.endswith(".")
        assert len(entry.adds) <= 95 and entry.reader.startswith("jaxface.") == (entry.name != "default")


def test_only_open_models_are_preferred_or_downloaded():
    ranked = [entry for entry in ENTRIES if entry.open_rank is not None]
    assert sorted(entry.open_rank for entry in ranked) == list(range(len(ranked)))
    assert all(entry.is_open and entry.kind == "model" for entry in ranked)
    downloads = [entry.download for entry in ENTRIES if entry.download]
    assert all(entry.is_open for entry in ENTRIES if entry.download)
    assert downloads and all(file.url.startswith("https://") and len(file.sha256) == 64 for file in downloads)
    assert not any(catalogue.find(name).is_open for name in ("bfm2009", "bfm2017", "deep3d", "3ddfa_v2", "flame"))


def test_preference():
    assert catalogue.preferred().name == "default"
    put("bfm2009", "flame", "bisenet", "3ddfa")
    assert catalogue.preferred().name == "default"
    put("gnm")
    assert catalogue.preferred().name == "gnm"
    put("ict")
    assert catalogue.preferred().name == "ict"


def test_installed_is_what_lies_in_the_folder():
    assert catalogue.is_installed(catalogue.find("default")) and not catalogue.is_installed(catalogue.find("ict"))
    put("ict")
    assert catalogue.is_installed(catalogue.find("ict"))


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    assert catalogue.cache_folder() == tmp_path / "home"
    monkeypatch.delenv("JAXFACE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert catalogue.cache_folder() == pathlib.Path("/xdg/jaxface")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/somebody")
    assert catalogue.installed_path(catalogue.find("ict")) == pathlib.Path("/somebody/.cache/jaxface/models/ict.npz")


@pytest.mark.parametrize(("name", "near"), [("ITC", "ict"), ("bfm", "bfm20"), ("3dffa", "3ddfa"), ("Flame", "flame")])
def test_unknown_names_get_a_hint(name, near):
    sentence = catalogue.unknown(name)
    assert f"did you mean {near}" in sentence and all(entry.name in sentence for entry in ENTRIES)


def test_far_names_get_no_hint():
    assert "did you mean" not in catalogue.unknown("zzzzzz") and "bisenet" in catalogue.unknown("")


def test_how_to_install_names_the_command():
    assert catalogue.how_to_install(catalogue.find("ict")) == "run `jaxface models install ict`"
    sentence = catalogue.how_to_install(catalogue.find("gnm"))
    assert "github.com/google/GNM" in sentence and "`jaxface models install gnm --from=PATH`" in sentence
