"""The journal of a long run: finished chunks of arrays on disk, each there whole or not at all (host side).

    folder/.jaxface-journal      marks the folder as ours; locked by the process that works in it
    folder/manifest.json         whose work this is: input, settings, versions
    folder/look/000003.npz       a chunk; its checksum is the zip archive's comment

The checksum covers the manifest's content and the chunk's name as well as its bytes, so that a chunk of another run,
or one that was moved, counts as absent, just as a damaged one does.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import weakref
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from jaxface.types import FaceError

try:
    import fcntl
except ImportError:  # Windows has no flock: there, nothing keeps a second process out
    fcntl = None  # type: ignore[assignment]  # the usual stand-in for a missing module

MARKER, MANIFEST = ".jaxface-journal", "manifest.json"
_NAME = re.compile(r"([a-z0-9_]+/)?[a-z0-9_]+")  # no dots: those are the journal's own files
_DIGITS = 64  # of a checksum, SHA-256 in hexadecimal
_BLOCK = 1 << 20  # bytes
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # from file systems of clusters that cannot lock
_NUM_NAMED, _LONGEST = 3, 70  # differences named in a sentence, letters of each value


class Journal:
    """Chunks by name, as `open_journal` gives them; the folder is locked until `close`, or the end of a `with`."""

    def __init__(self, folder: pathlib.Path, key: str, lock: int):
        self.folder = folder
        self._key = key
        self._unlock = weakref.finalize(self, os.close, lock)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets other processes in; chunks may no longer be committed."""
        self._unlock()

    def has(self, name: str) -> bool:
        """Whether the chunk is there, whole and of this run; reads all of it."""
        return self._read(name) is not None

    def load(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of a chunk that `has` said is there. Raises FaceError if it no longer is."""
        arrays = self._read(name)
        if arrays is None:
            raise FaceError(f"{self._path(name)} is missing or damaged: run again, and it is made anew.")
        return arrays

    def commit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Stores a chunk, in place of an earlier one of this name; once this returns, not even a power cut undoes it.

        `name` is like "look/000003": lower case letters, digits and _ with at most one folder. Raises FaceError where
        the disk is full or the folder cannot be written to; the chunks before it stay.
        """
        if not self._unlock.alive:
            raise ValueError("This journal is closed.")
        path = self._path(name)
        with _writing(self.folder):
            (self.folder / MARKER).stat()  # without it, somebody removed the folder
            _make_folder(path.parent)
            with _replacing(path) as stream:
                _write_arrays(stream, arrays)
                size = stream.truncate(stream.tell() - _DIGITS)
                stream.seek(0)
                stream.write(self._checksum(name, stream, size))

    def _path(self, name: str) -> pathlib.Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a chunk cannot be called {name!r}")
        return self.folder / f"{name}.npz"

    def _read(self, name: str) -> dict[str, np.ndarray] | None:
        """The chunk, or None where there is none that can be used."""
        try:
            with open(self._path(name), "rb") as stream:
                size = stream.seek(0, os.SEEK_END) - _DIGITS
                stream.seek(0)
                if self._checksum(name, stream, size) != stream.read():
                    return None
                stream.seek(0)
                return _read_arrays(stream)
        except OSError:
            return None

    def _checksum(self, name: str, stream: BinaryIO, size: int) -> bytes:
        """Of the next `size` bytes."""
        digest = hashlib.sha256(f"{self._key} {name}\n".encode())
        while block := stream.read(max(0, min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
        return digest.hexdigest().encode()


def open_journal(folder: str | os.PathLike, *, identity: dict[str, Any], overwrite: bool) -> Journal:
    """The journal in `folder`, made where there is none, to go on with the work that `identity` describes.

    `identity` holds, as JSON values, whatever changes the chunks' content: input, settings, versions. An earlier
    journal of other identity raises FaceError, which names what differs; with `overwrite` all of an earlier journal
    goes, whatever its identity. FaceError also where another process has the journal open, where `folder` holds
    something else, which is never touched, and where it cannot be written to.
    """
    folder = pathlib.Path(folder)
    text = json.dumps(identity, indent=2, allow_nan=False)
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    with _writing(folder):
        _check_ours(folder)
        _make_folder(folder)
        journal = Journal(folder, key, _locked(folder / MARKER))
        try:
            _settle(folder, text, overwrite=overwrite)
        except BaseException:
            journal.close()
            raise
    return journal


def _check_ours(folder: pathlib.Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FaceError(f"{folder} is in the way: move it or choose another output folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise FaceError(f"{folder} holds something other than unfinished work: choose another output folder.")


def _locked(path: pathlib.Path) -> int:
    """A handle to the file; the system lets go of the lock when the process ends, however it ends."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FaceError(f"{path.parent} is in use by another run: wait for it or choose another folder.") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(lock)
            raise
    return lock


def _settle(folder: pathlib.Path, text: str, *, overwrite: bool) -> None:
    """Sees to it that the manifest says `text`."""
    if overwrite:
        _clear(folder)
    path = folder / MANIFEST
    if path.exists():
        _check_same(path, json.loads(text))
        return
    with _replacing(path) as stream:
        stream.write(text.encode() + b"\n")


def _clear(folder: pathlib.Path) -> None:
    """Empties the journal, in any order: chunks that a crash leaves here match no other manifest."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARKER:
            entry.unlink()


def _check_same(path: pathlib.Path, here: dict[str, Any]) -> None:
    try:
        there = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        there = None
    if not isinstance(there, dict):
        raise FaceError(f"{path} is damaged: pass --overwrite to start anew, or choose another output folder.")
    found = _differences(there, here)
    if found:
        named = "; ".join(found[:_NUM_NAMED])
        more = f"; {len(found) - _NUM_NAMED} more" if len(found) > _NUM_NAMED else ""
        raise FaceError(
            f"{path.parent} holds work that was begun otherwise ({named}{more}): go on as it was begun, pass "
            "--overwrite to start anew, or choose another output folder."
        )


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """One phrase for each value that is not the same, with where it stands: "settings.size: 512 there, 256 here"."""
    old, new = dict(_leaves(there, "")), dict(_leaves(here, ""))
    places = [place for place in new | old if old.get(place) != new.get(place)]
    return [f"{place}: {_short(old.get(place))} there, {_short(new.get(place))} here" for place in places]


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Place and JSON text of each value in nested lists and dicts."""
    if not isinstance(value, dict | list) or not value:
        yield place, json.dumps(value)
        return
    for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(inside, f"{place}.{key}" if place else str(key))


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"


@contextlib.contextmanager
def _writing(folder: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FaceError(
            f"{folder} cannot be written to ({error.strerror or error}): make room or check the disk and its "
            "permissions, then run again, which goes on from here."
        ) from error


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """A stream to a new file that takes the place of `path` in one step, and durably; not if an error passes.

    What a crash leaves has the same name at the next try, and goes then.
    """
    fresh = path.with_name(f".{path.name}.part")
    try:
        with open(fresh, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, path)
    except Exception:
        fresh.unlink(missing_ok=True)  # room on a full disk
        raise
    _sync_folder(path.parent)


def _make_folder(folder: pathlib.Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: pathlib.Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_arrays(stream: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """An npz file without a clock in it, and with room for the checksum at the end."""
    with zipfile.ZipFile(stream, "w") as archive:
        archive.comment = b"0" * _DIGITS
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _read_arrays(stream: BinaryIO) -> dict[str, np.ndarray] | None:
    """The arrays, or None where a file with the right checksum is not one of ours all the same."""
    try:
        with np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception:  # forged files raise nearly everything; the chunk is simply made anew
        return None
    return arrays if all(isinstance(array, np.ndarray) for array in arrays.values()) else None
