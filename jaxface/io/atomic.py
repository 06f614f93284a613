"""New files and folders that appear complete or not at all (host side)."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from jaxface.types import FaceError


@contextlib.contextmanager
def new_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path to write to; what is there at the end replaces `path` in one step, unless an error passed."""
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".jaxface-") as workshop:
        fresh = pathlib.Path(workshop) / path.name
        yield fresh
        os.replace(fresh, path)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike, *, marker: str) -> Iterator[pathlib.Path]:
    """Yields an empty folder to fill; at the end it becomes `path`, and an earlier result there goes.

    Only a folder that holds `marker`, or nothing, counts as an earlier result; anything else raises FaceError.
    """
    path = pathlib.Path(path)
    _check_replaceable(path, marker=marker)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".jaxface-") as workshop:
        fresh, old = pathlib.Path(workshop) / "new", pathlib.Path(workshop) / "old"
        fresh.mkdir()  # a folder inside, since the workshop itself is closed to other users
        yield fresh
        _swap(fresh, path, old)


def _check_replaceable(path: pathlib.Path, *, marker: str) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FaceError(f"{path} is in the way: move it or choose another output folder.")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).is_file():
        raise FaceError(f"{path} holds something other than a result: choose another output folder.")


def _swap(fresh: pathlib.Path, path: pathlib.Path, old: pathlib.Path) -> None:
    had_one = path.exists()
    if had_one:
        os.rename(path, old)
    try:
        os.rename(fresh, path)
    except OSError:
        if had_one:
            os.rename(old, path)
        raise
