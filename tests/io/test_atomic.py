"""Nothing half-written, nothing foreign deleted."""

import os

import pytest

from jaxface.io import atomic
from jaxface.types import FaceError


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_file_replaces(tmp_path):
    (tmp_path / "a").write_text("old")
    with atomic.new_file(tmp_path / "a") as fresh:
        fresh.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_new_file_keeps_the_old_on_errors(tmp_path, error):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), atomic.new_file(tmp_path / "a") as fresh:
        fresh.write_text("half")
        raise error
    assert (tmp_path / "a").read_text() == "old" and names(tmp_path) == ["a"]


def test_new_folder_replaces_an_earlier_result_whole(tmp_path):
    for content in ("first", "second"):
        with atomic.new_folder(tmp_path / "face", marker="done") as fresh:
            (fresh / content).touch()
            (fresh / "done").touch()
    assert names(tmp_path) == ["face"] and names(tmp_path / "face") == ["done", "second"]


def test_new_folder_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").mkdir()
    with atomic.new_folder(tmp_path / "face", marker="done"):
        pass
    assert os.stat(tmp_path / "face").st_mode == os.stat(tmp_path / "plain").st_mode


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_new_folder_keeps_the_old_on_errors(tmp_path, error):
    (tmp_path / "face").mkdir()
    (tmp_path / "face" / "done").touch()
    with pytest.raises(error), atomic.new_folder(tmp_path / "face", marker="done") as fresh:
        (fresh / "half").touch()
        raise error
    assert names(tmp_path) == ["face"] and names(tmp_path / "face") == ["done"]


def test_new_folder_brings_the_old_back_if_the_swap_fails(tmp_path, monkeypatch):
    (tmp_path / "face").mkdir()
    (tmp_path / "face" / "done").touch()
    rename = os.rename

    def failing(source, target):
        if str(source).endswith("new"):
            raise OSError("disk trouble")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="disk trouble"), atomic.new_folder(tmp_path / "face", marker="done"):
        pass
    assert names(tmp_path / "face") == ["done"]


def test_foreign_folders_and_files_are_left_alone(tmp_path):
    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "beach.jpg").touch()
    (tmp_path / "note").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "holidays")
    for name in ("holidays", "note", "link"):
        with pytest.raises(FaceError), atomic.new_folder(tmp_path / name, marker="done"):
            pytest.fail("must not start")
    assert names(tmp_path) == ["holidays", "link", "note"] and names(tmp_path / "holidays") == ["beach.jpg"]
