"""Whatever crashes, fills up, is damaged or forged: chunks are whole, of this run, or absent."""

import builtins
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking import killing

from jaxface.tracking.journal import MANIFEST, MARKER, Journal, open_journal
from jaxface.types import FaceError

IDENTITY = {"input": {"name": "a.mp4", "sha256": "ab" * 32}, "settings": {"size": 512, "smooth": 1.0, "model": None}}
ARRAYS = {
    "points_px": np.arange(24, dtype=np.float32).reshape(2, 4, 3),
    "ok": np.array([True, False]),
    "count": np.int64(7),
    "names": np.array(["a", "bb"]),
    "none": np.zeros((0, 5)),
    "file": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


def begin(folder, *, identity=IDENTITY, overwrite=False) -> Journal:
    return open_journal(folder, identity=identity, overwrite=overwrite)


def refusal(folder, **options) -> str:
    with pytest.raises(FaceError) as caught:
        begin(folder, **options)
    return one_sentence(caught.value)


def one_sentence(error: FaceError) -> str:
    message = str(error)
    assert message.endswith(".") and ". " not in message and "\n" not in message
    return message


def assert_same(found: dict, expected: dict):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_chunks_come_back_as_they_were(tmp_path):
    with begin(tmp_path / "out" / "clip" / ".work") as journal:
        assert not journal.has("look/000003")
        journal.commit("look/000003", ARRAYS)
        journal.commit("identity", {"x": np.zeros(3)})
        assert_same(journal.load("look/000003"), ARRAYS)
        journal.commit("look/000003", {"x": np.ones(3)})
    with begin(tmp_path / "out" / "clip" / ".work") as journal:
        assert_same(journal.load("look/000003"), {"x": np.ones(3)})
        assert_same(journal.load("identity"), {"x": np.zeros(3)})
        assert not journal.has("look/000004")
    files = sorted(str(path.relative_to(journal.folder)) for path in journal.folder.rglob("*") if path.is_file())
    assert files == sorted([MARKER, MANIFEST, "identity.npz", "look/000003.npz"])


def test_the_manifest_is_the_identity_and_chunks_are_plain_npz(tmp_path):
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
    assert json.loads((tmp_path / "j" / MANIFEST).read_text()) == IDENTITY
    with np.load(tmp_path / "j" / "look" / "0.npz", allow_pickle=False) as stored:
        assert_same(dict(stored), ARRAYS)


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    files = []
    for name in ("a", "b"):
        with begin(tmp_path / name) as journal:
            journal.commit("look/0", ARRAYS)
        files.append((tmp_path / name / "look" / "0.npz").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["", "../x", "a/b/c", "/a", "a.b", "Look/0", "a/", "manifest.json", "a\n"])
def test_names_stay_inside(tmp_path, name):
    with begin(tmp_path / "j") as journal, pytest.raises(ValueError, match="cannot be called"):
        journal.commit(name, {})


def test_objects_are_not_stored(tmp_path):
    with begin(tmp_path / "j") as journal:
        with pytest.raises(ValueError, match="[Oo]bject arrays"):
            journal.commit("look/0", {"x": np.array([None])})
        assert not journal.has("look/0")
        assert list((tmp_path / "j" / "look").iterdir()) == []


# Whose work it is


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"settings": {**IDENTITY["settings"], "size": 256}}, "(settings.size: 512 there, 256 here)"),
        ({"settings": {**IDENTITY["settings"], "model": "flame"}}, '(settings.model: null there, "flame" here)'),
        ({"settings": {"size": 512, "smooth": 1.0}}, "(settings.model: null there, nothing here)"),
        ({"photos": ["a.jpg"]}, '(photos.0: nothing there, "a.jpg" here)'),
        ({"input": {**IDENTITY["input"], "sha256": "ab" * 31 + "ac"}}, 'bac" here)'),
        ({"settings": {}}, "; 1 more)"),
    ],
)
def test_other_work_is_not_mixed_in(tmp_path, change, phrase):
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
    message = refusal(tmp_path / "j", identity=IDENTITY | change)
    assert phrase in message and "--overwrite" in message and len(message) < 800
    with begin(tmp_path / "j") as journal:  # and nothing is lost
        assert journal.has("look/0")


def test_tuples_and_order_make_no_difference(tmp_path):
    begin(tmp_path / "j", identity={"a": (1, 2), "b": {}}).close()
    begin(tmp_path / "j", identity={"b": {}, "a": [1, 2]}).close()
    assert "b: {} there, [] here" in refusal(tmp_path / "j", identity={"a": [1, 2], "b": []})


@pytest.mark.parametrize("identity", [IDENTITY, {"settings": {"size": 256}}])
def test_overwrite_starts_anew(tmp_path, identity):
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
        journal.commit("mean", ARRAYS)
    with begin(tmp_path / "j", identity=identity, overwrite=True) as journal:
        assert not journal.has("look/0") and not journal.has("mean")
    assert sorted(path.name for path in (tmp_path / "j").iterdir()) == sorted([MARKER, MANIFEST])
    begin(tmp_path / "j", identity=identity).close()


def test_chunks_of_other_work_and_moved_chunks_are_absent(tmp_path):
    with begin(tmp_path / "theirs", identity={}) as theirs:
        theirs.commit("look/0", ARRAYS)
    with begin(tmp_path / "ours") as ours:
        ours.commit("look/1", ARRAYS)
        shutil.copy(tmp_path / "theirs" / "look" / "0.npz", tmp_path / "ours" / "look" / "0.npz")
        shutil.copy(tmp_path / "ours" / "look" / "1.npz", tmp_path / "ours" / "look" / "2.npz")
        assert [ours.has(f"look/{i}") for i in range(3)] == [False, True, False]


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_folders_and_files_are_left_alone(tmp_path, overwrite):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / MANIFEST).write_text("{}")  # a common name, which proves nothing
    (tmp_path / "note").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "web")
    for name in ("web", "note", "link"):
        assert "choose another output folder" in refusal(tmp_path / name, overwrite=overwrite)
    assert [path.name for path in (tmp_path / "web").iterdir()] == [MANIFEST]
    assert (tmp_path / "web" / MANIFEST).read_text() == "{}" and (tmp_path / "note").read_text() == "mine"


def test_overwrite_does_not_follow_links_out(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "beach.jpg").touch()
    begin(tmp_path / "j").close()
    (tmp_path / "j" / "look").symlink_to(tmp_path / "mine")
    begin(tmp_path / "j", overwrite=True).close()
    assert (tmp_path / "mine" / "beach.jpg").exists() and not (tmp_path / "j" / "look").is_symlink()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_manifest_is_said_and_overwritten(tmp_path, text):
    begin(tmp_path / "j").close()
    (tmp_path / "j" / MANIFEST).write_bytes(text)
    message = refusal(tmp_path / "j")
    assert "damaged" in message and "--overwrite" in message
    begin(tmp_path / "j", overwrite=True).close()
    begin(tmp_path / "j").close()


# One process at a time


def test_a_second_process_is_told_to_wait(tmp_path):
    code = f"""
from jaxface.tracking.journal import open_journal
from jaxface.types import FaceError
try:
    open_journal({str(tmp_path / "j")!r}, identity={{}}, overwrite=True)
except FaceError as error:
    print(error)
"""
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
        assert "in use" in refusal(tmp_path / "j")
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "in use by another run" in second.stdout
        assert journal.has("look/0")
    begin(tmp_path / "j").close()


def test_the_lock_goes_with_a_killed_process(tmp_path):
    code = f"""
import os, signal
from jaxface.tracking.journal import open_journal
journal = open_journal({str(tmp_path / "j")!r}, identity={{}}, overwrite=False)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    begin(tmp_path / "j", identity={}).close()


def test_a_refused_or_dropped_journal_is_not_locked(tmp_path):
    begin(tmp_path / "j").close()
    refusal(tmp_path / "j", identity={})
    journal = begin(tmp_path / "j")
    del journal
    with begin(tmp_path / "j") as journal:
        pass
    with pytest.raises(ValueError, match="closed"):
        journal.commit("look/0", ARRAYS)


def test_file_systems_without_locks_are_used_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxface.tracking.journal.fcntl.flock", failing(OSError(38, "Function not implemented")))
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
        assert journal.has("look/0")


# Full disks


def failing(error: BaseException):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize("limit", [0, 30, 700, 3000])
def test_a_full_disk_is_one_sentence_and_leaves_no_half_chunk(tmp_path, limit):
    arrays = {"x": np.zeros(100_000)}
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
        with full_disk(limit), pytest.raises(FaceError) as caught:
            journal.commit("look/1", arrays)
        assert "make room" in one_sentence(caught.value)
        assert [path.name for path in (tmp_path / "j" / "look").iterdir()] == ["0.npz"]
        assert journal.has("look/0") and not journal.has("look/1")
        journal.commit("look/1", arrays)
        assert journal.has("look/1")


def test_a_full_disk_at_the_start(tmp_path):
    with full_disk(10):
        assert "make room" in refusal(tmp_path / "j")
    begin(tmp_path / "j").close()


class full_disk:  # noqa: N801  a context manager like those of contextlib
    """No file may grow beyond the limit, bytes: the system's own error in the middle of a write."""

    def __init__(self, limit: int):
        self.limit = limit

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_places_that_cannot_be_written_are_one_sentence(tmp_path, monkeypatch):
    assert "cannot be written to" in refusal(tmp_path / ("x" * 300))
    (tmp_path / "file").touch()
    assert "cannot be written to" in refusal(tmp_path / "file" / "j")
    with begin(tmp_path / "j") as journal:
        shutil.rmtree(tmp_path / "j")
        with pytest.raises(FaceError, match="No such file"):
            journal.commit("mean", ARRAYS)
        assert not (tmp_path / "j").exists()


# Damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Journal, pathlib.Path, bytes]:
    """A journal with one chunk, its file, and what is in it."""
    with begin(tmp_path_factory.mktemp("whole") / "j") as journal:
        journal.commit("look/0", {"x": np.arange(5), "y": np.ones((2, 2), np.float32)})
        path = journal.folder / "look" / "0.npz"
        yield journal, path, path.read_bytes()


def test_a_chunk_cut_short_anywhere_is_absent(whole):
    journal, path, content = whole
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not journal.has("look/0"), length
    path.write_bytes(content + b"\0")
    assert not journal.has("look/0")
    path.write_bytes(content)
    assert journal.has("look/0")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_chunk_with_a_wrong_byte_is_absent(whole, data):
    journal, path, content = whole
    place = data.draw(st.integers(0, len(content) - 1))
    wrong = bytearray(content)
    wrong[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(wrong)
    assert not journal.has("look/0")
    with pytest.raises(FaceError, match="missing or damaged"):
        journal.load("look/0")


def test_a_damaged_chunk_is_replaced(tmp_path):
    with begin(tmp_path / "j") as journal:
        journal.commit("look/0", ARRAYS)
        path = tmp_path / "j" / "look" / "0.npz"
        path.write_bytes(path.read_bytes()[:100])
        journal.commit("look/0", ARRAYS)
        assert_same(journal.load("look/0"), ARRAYS)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def forge(journal: Journal, name: str, content: bytes) -> None:
    """Puts bytes in place of a chunk, with the checksum that goes with them."""
    path = journal.folder / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with open(path, "r+b") as stream:
        checksum = journal._checksum(name, stream, len(content))
        stream.seek(0, os.SEEK_END)
        stream.write(checksum)


def npz(save) -> bytes:
    """The file that `save` writes, with a comment's length as ours have."""
    with tempfile.TemporaryFile() as stream:
        save(stream)
        stream.seek(0)
        return stream.read()[:-2] + (64).to_bytes(2, "little")


def npy_header(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def archive(name: str, content: bytes, compression=zipfile.ZIP_STORED):
    def save(stream):
        with zipfile.ZipFile(stream, "w", compression) as target:
            target.writestr(name, content)

    return npz(save)


def test_forged_chunks_are_absent_and_run_no_code(tmp_path):
    trap = np.array([Trap(str(tmp_path / "sprung"))], dtype=object)
    with begin(tmp_path / "j") as journal:
        journal.commit("good", ARRAYS)
        forge(journal, "control", npz(lambda stream: np.savez(stream, x=np.ones(3))))
        assert_same(journal.load("control"), {"x": np.ones(3)})  # so that the forgeries get past the checksum
        forged = {
            "pickle": npz(lambda stream: np.savez(stream, x=trap)),
            "bare": trap.dumps(),
            "array": npy_header("(1,)") + b"\0" * 8,
            "text": archive("x.npy", b"no array"),
            "other": archive("x.txt", b"no array"),
            "huge": archive("x.npy", npy_header("(10000000000000000,)")),
            "negative": archive("x.npy", npy_header("(-3,)")),
            "deep": archive("x.npy", npy_header("(" * 5000)),
            "empty": b"",
        }
        for name, content in forged.items():
            forge(journal, name, content)
            assert not journal.has(name), name
    assert not (tmp_path / "sprung").exists()


# Crashes


class Crash(BaseException):
    """Ends everything on the spot, as a power cut would."""


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_crash_at_any_step_leaves_a_usable_journal(tmp_path, monkeypatch, overwrite):
    """Each of the calls in turn is the last; afterwards the journal opens and all that was committed is there,
    but for a journal that was being overwritten."""
    calls = [(builtins, "open"), (np.lib.format, "write_array")]
    calls += [(os, name) for name in ("open", "fsync", "replace", "unlink", "rmdir", "mkdir")]
    old, new = {"x": np.zeros(3)}, {"x": np.ones(3)}
    crashes = 0
    while True:
        folder = tmp_path / str(crashes)
        with begin(folder) as journal:
            journal.commit("look/0", old)
            journal.commit("face/0", old)
        with monkeypatch.context() as patch:
            left = [crashes]
            for module, name in calls:
                patch.setattr(module, name, mortal(getattr(module, name), left))
            try:
                with begin(folder, overwrite=overwrite) as journal:
                    journal.commit("look/0", new)
                    journal.commit("fine/0", new)
                break
            except Crash:
                pass
        with begin(folder) as journal:
            assert not journal.has("look/0") or journal.load("look/0")["x"].tolist() in ([0.0] * 3, [1.0] * 3)
            assert journal.has("look/0") or overwrite
            assert not journal.has("fine/0") or journal.load("fine/0")["x"].tolist() == [1.0] * 3
            journal.commit("fine/0", new)
            assert_same(journal.load("fine/0"), new)
        crashes += 1
    assert crashes >= 10


def mortal(function, left: list[int]):
    """The function, but a crash before it once `left[0]` calls of all such functions were made."""

    def call(*args, **options):
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        return function(*args, **options)

    return call


NUM_CHUNKS = 30
JOB = f"""
import sys, time
import numpy as np
from jaxface.tracking.journal import open_journal

folder, log = sys.argv[1:]
with open_journal(folder + "/.work", identity={{"seed": 1}}, overwrite=False) as journal:
    state = np.zeros(1000)
    for i in range({NUM_CHUNKS}):
        name = f"look/{{i:06d}}"
        if not journal.has(name):
            with open(log, "a") as stream:
                stream.write(name + "\\n")
            time.sleep(0.02)
            journal.commit(name, {{"state": np.cos(state + np.arange(1000) * i)}})
        state = journal.load(name)["state"]
    total = sum(journal.load(f"look/{{i:06d}}")["state"] for i in range({NUM_CHUNKS}))
    with open(folder + "/total.bin", "wb") as stream:
        stream.write(total.tobytes())
"""


@pytest.mark.parametrize("moments", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_job_killed_at_random_moments_ends_the_same(tmp_path, moments):
    log, whole, killed = tmp_path / "log", tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-c", JOB]
    start_anew(whole)
    duration_s = killing.run([*command, str(whole), str(tmp_path / "other_log")])
    expected = contents(whole)
    assert len(expected) == NUM_CHUNKS + 3
    ends = []

    def finished() -> bool:
        ends.append(contents(killed) == expected)
        return ends[-1]

    start_anew(killed)
    killing.kill_at_random_moments(
        [*command, str(killed), str(log)],
        moments=moments,
        seed=moments,
        duration_s=duration_s,
        finished=finished,
        start_anew=lambda: start_anew(killed),
    )
    made = len(log.read_text().splitlines())
    assert len(ends) * NUM_CHUNKS <= made <= len(ends) * NUM_CHUNKS + moments  # a kill costs the chunk in hand at most


def start_anew(folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_harness_kills_as_often_as_it_says_and_sees_failures(tmp_path):
    log = tmp_path / "log"
    sleeper = ["sh", "-c", f"echo start >> {log}; sleep 0.4; echo end >> {log}"]
    killing.kill_at_random_moments(
        sleeper, moments=4, seed=0, duration_s=0.4, finished=lambda: True, start_anew=lambda: None
    )
    lines = log.read_text().splitlines()
    assert lines.count("start") - lines.count("end") == 4
    with pytest.raises(AssertionError, match="oh no"):
        killing.run(["sh", "-c", "echo oh no; exit 3"])
    with pytest.raises(AssertionError, match="not done"):
        killing.kill_at_random_moments(
            sleeper, moments=1, seed=0, duration_s=0.1, finished=lambda: False, start_anew=lambda: None
        )
