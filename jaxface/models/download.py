"""Files from the web: whole, as expected and resumable, or one sentence that says why not (host side)."""

import hashlib
import http.client
import os
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from tqdm import tqdm

from jaxface.models.archives import read_members
from jaxface.types import FaceError

TIMEOUT_S = 30.0
_BLOCK = 1 << 18
_LOCAL = ("127.0.0.1", "localhost")
_BY_HAND = "or get the file by other means and give it with --from"
_STOPPED = (OSError, http.client.HTTPException)  # what sockets raise while data flow


def fetch(url: str, destination: pathlib.Path, *, sha256: str, folder: str = "", progress: bool = False) -> None:
    """The file behind `url` at `destination`, which appears only when whole and as expected.

    `sha256` is of the file, or of what lies in `folder` of the archive, see `folder_digest`. Until then the data wait
    in `<destination>.part`, from where a later call goes on if the server can. HTTPS only, also after redirections;
    plain HTTP from this machine itself. Raises FaceError if the server cannot be reached, refuses or stops, if the
    data are not the expected ones (they are removed), or if they cannot be written.
    """
    _check_scheme(url)
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if not (destination.is_file() and _digest(destination, folder) == sha256):
            _complete(url, part, progress=progress)
            _verify(url, part, sha256=sha256, folder=folder)
            os.replace(part, destination)
    except OSError as error:
        raise FaceError(
            f"{part}: it cannot be written ({error.strerror}); free some space or set JAXFACE_HOME."
        ) from None


def file_digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


def _digest(path: pathlib.Path, folder: str) -> str:
    """That of the file or of the folder in it; empty for what is no archive."""
    if not folder:
        return file_digest(path)
    try:
        return folder_digest(path, folder=folder)
    except FaceError:
        return ""


def _check_scheme(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise FaceError(f"{url}: only https is taken; look for a secure address.")


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not away from HTTPS."""

    def redirect_request(self, request, stream, code, message, headers, url):
        try:
            _check_scheme(url)
        except FaceError:
            stream.close()
            raise
        return super().redirect_request(request, stream, code, message, headers, url)


def _complete(url: str, part: pathlib.Path, *, progress: bool) -> None:
    """Fetches what `part` lacks."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _open(url, start=have)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 416 or not have:  # 416: there is nothing beyond what we have
                raise FaceError(_refusal(url, error)) from None
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
        response = _open_again(url, part)
        have = 0
    with response:
        if response.status != 206:  # the server sends all of it
            have = 0
        _receive(url, response, part, have=have, progress=progress)


def _open(url: str, *, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "jaxface"} | ({"Range": f"bytes={start}-"} if start else {})
    opener = urllib.request.build_opener(_SecureRedirects)
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except _STOPPED as error:
        host = urllib.parse.urlsplit(url).hostname
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or reason
        raise FaceError(f"{host} cannot be reached ({why}): check the network, {_BY_HAND} ({url}).") from None


def _open_again(url: str, part: pathlib.Path) -> http.client.HTTPResponse:
    """From the beginning, since what we have is not a beginning of what is there."""
    part.unlink()
    try:
        return _open(url, start=0)
    except urllib.error.HTTPError as error:
        with error:
            raise FaceError(_refusal(url, error)) from None


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    if error.code in (404, 410):
        return f"{url}: there is no such file any more (HTTP {error.code}): look for its new place {_BY_HAND}."
    return f"{url}: the server refused (HTTP {error.code} {error.reason}): try again later, {_BY_HAND}."


def _receive(url: str, response: http.client.HTTPResponse, part: pathlib.Path, *, have: int, progress: bool) -> None:
    """Appends the response to the first `have` bytes; checks that all that was announced has come."""
    announced = response.headers.get("Content-Length", "")
    total = have + int(announced) if announced.isdigit() else None
    if have and _first_byte(response) != have:
        part.unlink()
        raise FaceError(f"{url}: the server went on at another place than asked: run the command again.")
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=not progress)
    with bar, part.open("ab" if have else "wb") as file:
        for block in _blocks(url, response):
            file.write(block)
            bar.update(len(block))
    size = part.stat().st_size
    if total is not None and size != total:
        raise FaceError(f"{url}: the transfer stopped after {size} of {total} bytes: {_again()}.")


def _first_byte(response: http.client.HTTPResponse) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _blocks(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The data as they come; errors of the network, not of the disk, become sentences here."""
    while True:
        try:
            block = response.read(_BLOCK)
        except _STOPPED as error:
            raise FaceError(f"{url}: the transfer stopped ({error}): {_again()}.") from None
        if not block:
            return
        yield block


def _again() -> str:
    return f"run the command again to continue, {_BY_HAND}"


def _verify(url: str, part: pathlib.Path, *, sha256: str, folder: str) -> None:
    found = _digest(part, folder)
    if found != sha256:
        part.unlink()
        what = f"the folder {folder} in it" if folder else "the file"
        raise FaceError(
            f"{url}: {what} is not the one expected (SHA-256 {found[:12] or 'of no archive'}, not {sha256[:12]}); "
            "it was removed: run the command again, and if that does not help give --from."
        )
