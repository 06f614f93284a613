"""Members of folders and archives: the same whatever they are packed in, and one sentence for whatever is broken."""

import io
import tarfile
import zipfile

import numpy as np
import pytest

from jaxface.models import archives
from jaxface.types import FaceError

FILES = {"deep/model/a.obj": b"v 1 2 3\n" * 40, "deep/model/b.obj": b"", "deep/c.obj": b"c", "readme.txt": b"text"}
KINDS = ("folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


def pack(folder, kind, files=FILES):
    path = folder / f"packed.{kind}"
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:" + kind.partition(".")[2]) as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def is_obj(name):
    return name.endswith(".obj")


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_the_same_in_every_packing(tmp_path, kind):
    members = dict(archives.read_members(pack(tmp_path, kind), is_obj))
    assert members == {name: content for name, content in FILES.items() if is_obj(name)}


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_suffix_need_not_tell_the_kind(tmp_path, kind):
    path = pack(tmp_path, kind).rename(tmp_path / "download")
    assert len(dict(archives.read_members(path, is_obj))) == 3


@pytest.mark.parametrize("kind", KINDS[1:])
def test_names_that_point_outside_touch_nothing(tmp_path, kind):
    (tmp_path / "in").mkdir()
    path = pack(tmp_path / "in", kind, {"../escaped.obj": b"x", "/tmp/escaped.obj": b"y"})
    before = sorted(tmp_path.rglob("*"))
    assert len(list(archives.read_members(path, is_obj))) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_a_tar_are_not_followed(tmp_path):
    (tmp_path / "secret.obj").write_bytes(b"secret")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("link.obj")
        member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.obj")
        archive.addfile(member)
    assert dict(archives.read_members(tmp_path / "a.tar", is_obj)) == {}


def test_folders_are_searched_to_a_depth_only(tmp_path):
    inner = tmp_path.joinpath(*"abcdefgh")
    inner.mkdir(parents=True)
    (inner / "low.obj").touch()
    tmp_path.joinpath(*"abcdef", "high.obj").touch()
    assert [name for name, _ in archives.read_members(tmp_path, is_obj)] == ["a/b/c/d/e/f/high.obj"]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_bombs_are_refused_before_they_are_unpacked(tmp_path, kind, monkeypatch):
    path = pack(tmp_path, kind, {"a.obj": bytes(300_000), "b.obj": bytes(300_000)})
    monkeypatch.setattr(archives, "MAX_BYTES", 600_000)
    assert len(list(archives.read_members(path, is_obj))) == 2
    monkeypatch.setattr(archives, "MAX_BYTES", 599_999)
    with pytest.raises(FaceError, match="more than"):
        list(archives.read_members(path, is_obj))


def test_missing_and_other_files_say_so(tmp_path):
    (tmp_path / "text.zip").write_text("a shopping list\n" * 99)
    (tmp_path / "empty.tar").touch()
    for name, message in (("none", "does not exist"), ("text.zip", "archive"), ("empty.tar", "archive")):
        with pytest.raises(FaceError, match=message):
            list(archives.read_members(tmp_path / name, is_obj))


def test_an_encrypted_zip_says_so(tmp_path):
    path = pack(tmp_path, "zip", {"a.obj": b"x"})
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(FaceError, match="encrypted"):
        list(archives.read_members(path, is_obj))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_damage_raises_nothing_else(tmp_path, kind):
    files = {name: np.random.default_rng(1).bytes(700) for name in FILES}
    whole = pack(tmp_path, kind, files).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.5 else whole)
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            list(archives.read_members(tmp_path / "damaged", is_obj))
        except FaceError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            refused += 1
    assert refused > 10


def test_the_shallowest_folder_is_found():
    names = ["z/deep/model.obj", "b/model.obj", "a/other-model.obj", "c/model.obj"]
    assert archives.find_folder(names, "model.obj") == "b/"
    assert archives.find_folder(["model.obj", *names], "model.obj") == ""
    assert archives.find_folder(names, "none.obj") is None
