"""Archives from the web: whole and as expected, or one sentence that says why not (host side)."""

import contextlib
import hashlib
import pathlib

import pooch
import requests

from jaxface.io.atomic import new_file
from jaxface.models.archives import read_members
from jaxface.types import FaceError

TIMEOUT_S = 30.0
_BLOCK = 1 << 18
_BY_HAND = "run the command again, or get the file by other means and give it with --from"


def fetch(url: str, destination: pathlib.Path, *, sha256: str, folder: str, progress: bool = False) -> None:
    """The archive behind `url` at `destination`, which appears only when whole and as expected.

    `sha256` is of what lies in `folder` of the archive, see `folder_digest`. Raises FaceError if the server cannot be
    reached, refuses or stops, if the data are not the expected ones, or if they cannot be written; nothing is left.
    """
    if destination.is_file() and _digest(destination, folder) == sha256:
        return
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with new_file(destination) as fresh:
            _download(url, fresh, progress=progress)
            found = _digest(fresh, folder)
            if found != sha256:
                is_not = f"is not the one expected (SHA-256 {found[:12] or 'of no archive'}, not {sha256[:12]})"
                raise FaceError(f"{url}: the folder {folder} in it {is_not}: {_BY_HAND}.")
    except requests.RequestException as error:
        raise FaceError(f"{url} cannot be fetched ({_reason(error)}): check the network and {_BY_HAND}.") from None
    except OSError as error:
        why = error.strerror or error
        raise FaceError(f"{destination}: it cannot be written ({why}); free some space or set JAXFACE_HOME.") from None


def folder_digest(path: pathlib.Path, *, folder: str) -> str:
    """SHA-256 over the files in `folder`, wherever that lies in a folder, .zip or .tar; not over the archive's bytes.

    Hosts may pack an archive anew, and git may change line ends. So each file's carriage returns before line feeds go,
    and its SHA-256 is taken; the result is that of the lines "<hexadecimal digest>  <name>\\n", UTF-8, sorted by name,
    where the name is relative to `folder`, with forward slashes. Raises FaceError for a damaged archive.
    """
    digests = {}
    for name, data in read_members(path, lambda base: True):
        _, found, inner = f"/{name}".partition(f"/{folder}/")
        if found:
            digests[inner] = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _download(url: str, path: pathlib.Path, *, progress: bool) -> None:
    with contextlib.ExitStack() as stack:  # pooch leaves the connection open where a transfer fails
        hooks = {"response": lambda response, **_: stack.enter_context(response)}
        load = pooch.HTTPDownloader(progressbar=progress, chunk_size=_BLOCK, timeout=TIMEOUT_S, hooks=hooks)
        load(url, path, None)


def _digest(path: pathlib.Path, folder: str) -> str:
    """That of the folder in an archive; empty for what is no archive."""
    try:
        return folder_digest(path, folder=folder)
    except FaceError:
        return ""


def _reason(error: BaseException) -> str:
    """What the server or the socket said, without the layers around it."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    while error.__context__ is not None:
        error = error.__context__
    return str(getattr(error, "strerror", None) or error)
