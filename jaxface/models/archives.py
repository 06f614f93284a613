"""Members of a folder, a zip or a tar, read in memory; nothing is unpacked onto the disk (host side)."""

import os
import pathlib
import tarfile
import zipfile
from collections.abc import Callable, Iterator

from jaxface.types import FaceError

MAX_DEPTH = 6  # folders below the one that is given; a home folder is not searched to its end
MAX_BYTES = 2 << 30  # of all members together; the largest model that we know has 0.4 GB


def read_members(path: str | os.PathLike, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in `path` whose base name is `wanted`, in the order in which they are stored.

    `path` is a folder, a .zip or a .tar, also compressed (.gz, .bz2, .xz). Names are relative, with forward slashes.
    An archive is read once from start to end. Raises FaceError for whatever is none of these, is damaged or
    encrypted, or holds more than 2 GiB.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FaceError(f"{path}: it does not exist; check the path.")
    if path.is_dir():
        source = _folder_members
    elif zipfile.is_zipfile(path):
        source = _zip_members
    else:
        source = _tar_members
    budget = MAX_BYTES
    try:
        for name, size, read in source(path):
            budget -= size
            if budget < 0:
                raise FaceError(f"{path}: it unpacks to more than {MAX_BYTES >> 30} GiB; this is not a face model.")
            if wanted(name.rsplit("/", 1)[-1]):
                yield name, read()
    except FaceError:
        raise
    except tarfile.ReadError as error:
        raise FaceError(f"{path}: it is not a complete folder, .zip or .tar archive ({error}); check it.") from error
    except Exception as error:  # the unpackers raise nearly anything on damaged data
        raise FaceError(f"{path}: it cannot be read ({_first_line(error)}); get a complete copy.") from error


def find_folder(names: list[str], member: str) -> str | None:
    """The folder in an archive, with its slash, that holds `member`; the shallowest if there are several."""
    found = [name[: -len(member)] for name in names if name == member or name.endswith("/" + member)]
    return min(found, key=lambda folder: (folder.count("/"), folder)) if found else None


def _folder_members(path):
    for folder, inner, files in os.walk(path):
        here = pathlib.Path(folder).relative_to(path)
        inner[:] = sorted(inner) if len(here.parts) < MAX_DEPTH else []
        for name in sorted(files):
            yield (here / name).as_posix(), 0, (pathlib.Path(folder) / name).read_bytes


def _zip_members(path):
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, member.file_size, lambda member=member: archive.read(member)


def _tar_members(path):
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.isfile():
                yield member.name, member.size, lambda member=member: _content(archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
