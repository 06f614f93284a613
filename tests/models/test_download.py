"""Downloads from a server of our own: whole, resumed, refused, broken off, or not what was expected."""

import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
import zipfile

import pytest

from jaxface.models import catalogue, download
from jaxface.types import FaceError

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.data`; the server's fields say how well it behaves."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.status != 200:
            return self.send_error(server.status)
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(server.data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.data)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if asked and server.ranges else 200)
        start += server.off_by if asked else 0
        self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        if server.announces:
            self.send_header("Content-Length", str(len(server.data) - start))
        self.end_headers()
        if server.stalls:
            server.released.wait(10)
        self.wfile.write(server.data[start : start + server.limit])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data, server.status, server.redirect = DATA, 200, ""
        server.ranges = server.announces = True
        server.limit, server.off_by, server.stalls, server.asked = len(DATA), 0, False, []
        server.released, server.handle_error = threading.Event(), lambda *client: None  # a client may hang up
        server.url = f"http://127.0.0.1:{server.server_port}/model.bin"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def files(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


def expect(words, server, destination, *, sha256=SHA256):
    with pytest.raises(FaceError, match=words) as caught:
        download.fetch(server.url, destination, sha256=sha256)
    assert str(caught.value).count("\n") == 0
    assert not destination.exists()


def test_a_file_arrives_once(server, tmp_path):
    destination = tmp_path / "downloads" / "model.bin"
    download.fetch(server.url, destination, sha256=SHA256)
    assert destination.read_bytes() == DATA and files(destination.parent) == ["model.bin"]
    download.fetch(server.url, destination, sha256=SHA256)  # it is there already
    assert server.asked == [None]
    destination.write_bytes(b"something else")
    download.fetch(server.url, destination, sha256=SHA256)
    assert destination.read_bytes() == DATA and server.asked == [None, None]


def test_without_an_announced_length(server, tmp_path):
    server.announces = False
    download.fetch(server.url, tmp_path / "model.bin", sha256=SHA256)
    assert (tmp_path / "model.bin").read_bytes() == DATA


@pytest.mark.parametrize("ranges", [True, False])
def test_a_transfer_goes_on_where_it_stopped(server, tmp_path, ranges):
    server.limit, server.ranges = 1000, ranges
    expect(r"stopped after 1000 of 1024000 bytes: run the command again", server, tmp_path / "model.bin")
    assert files(tmp_path) == ["model.bin.part"]
    server.limit = len(DATA)
    download.fetch(server.url, tmp_path / "model.bin", sha256=SHA256)
    assert server.asked == [None, "bytes=1000-"]
    assert (tmp_path / "model.bin").read_bytes() == DATA and files(tmp_path) == ["model.bin"]


def test_a_complete_part_is_only_checked(server, tmp_path):
    (tmp_path / "model.bin.part").write_bytes(DATA)
    download.fetch(server.url, tmp_path / "model.bin", sha256=SHA256)
    assert server.asked == [f"bytes={len(DATA)}-"] and files(tmp_path) == ["model.bin"]


def test_a_part_longer_than_the_file_starts_over(server, tmp_path):
    (tmp_path / "model.bin.part").write_bytes(DATA + b"more")
    download.fetch(server.url, tmp_path / "model.bin", sha256=SHA256)
    assert len(server.asked) == 2 and server.asked[1] is None
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_a_part_of_another_file_is_removed(server, tmp_path):
    (tmp_path / "model.bin.part").write_bytes(b"x" * 500)
    expect("not the one expected.*run the command again", server, tmp_path / "model.bin")
    assert files(tmp_path) == []
    download.fetch(server.url, tmp_path / "model.bin", sha256=SHA256)
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_a_server_that_goes_on_elsewhere_is_not_believed(server, tmp_path):
    (tmp_path / "model.bin.part").write_bytes(DATA[:500])
    server.off_by = 7
    expect("at another place than asked", server, tmp_path / "model.bin")
    assert files(tmp_path) == []


def test_other_contents_are_removed(server, tmp_path):
    server.data = DATA[:-1] + b"!"
    expect(f"SHA-256 .*not {SHA256[:12]}.*--from", server, tmp_path / "model.bin")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "no such file.*404"), (410, "no such file"), (403, "refused.*403"), (500, "again later")],
)
def test_refusals_are_told(server, tmp_path, status, words):
    server.status = status
    expect(words, server, tmp_path / "model.bin")
    (tmp_path / "model.bin.part").write_bytes(DATA[:500])
    expect(words, server, tmp_path / "model.bin")
    assert files(tmp_path) == ["model.bin.part"]  # to go on from, once the server is back


def test_a_stalled_transfer_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    server.stalls = True
    expect("stopped.*timed out.*run the command again", server, tmp_path / "model.bin")


def test_a_server_that_is_not_there_is_told(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        with pytest.raises(FaceError, match="127.0.0.1 cannot be reached .Connection refused.: check the network"):
            download.fetch(url, tmp_path / "x", sha256=SHA256)


def test_a_name_that_cannot_be_looked_up_is_told(tmp_path, monkeypatch):
    def fail(*arguments, **settings):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(FaceError, match="example.invalid cannot be reached .Name or service not known.*--from"):
        download.fetch("https://example.invalid/x", tmp_path / "x", sha256=SHA256)


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "x"])
def test_only_https_is_taken(tmp_path, url):
    with pytest.raises(FaceError, match="only https"):
        download.fetch(url, tmp_path / "x", sha256=SHA256)


def test_redirections_do_not_leave_https(server, tmp_path):
    server.redirect = "http://example.org/x"
    expect("http://example.org/x: only https", server, tmp_path / "model.bin")


def test_a_full_or_closed_disk_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    expect("cannot be written.*JAXFACE_HOME", server, tmp_path / "file" / "model.bin")


def test_progress_is_shown_on_request(server, tmp_path, capsys):
    download.fetch(server.url, tmp_path / "a.bin", sha256=SHA256)
    assert capsys.readouterr().err == ""
    download.fetch(server.url, tmp_path / "b.bin", sha256=SHA256, progress=True)
    assert "1.02M/1.02M" in capsys.readouterr().err


MEMBERS = {"Face/b.obj": b"v 1\r\nv 2\n", "Face/deep/a.obj": b"\x00\xff", "Other/c.obj": b"no"}


def pack(path, members):
    """A zip, a tar or a folder, by the suffix."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    elif path.suffix == ".gz":
        with tarfile.open(path, "w:gz") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        for name, data in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


def test_the_digest_is_of_the_folder_however_it_is_packed(tmp_path):
    lines = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in (("b.obj", b"v 1\nv 2\n"), ("deep/a.obj", b"\x00\xff"))
    )
    expected = hashlib.sha256(lines.encode()).hexdigest()
    turned = dict(reversed(MEMBERS.items())) | {"Face/b.obj": b"v 1\nv 2\r\n", "Other/c.obj": b"yes"}
    deeper = {f"repo-master/{name}": data for name, data in MEMBERS.items()}
    for place, members in enumerate((MEMBERS, turned, deeper)):
        for suffix in (".zip", ".tar.gz", ".d"):
            path = pack(tmp_path / f"{place}{suffix}", members)
            assert download.folder_digest(path, folder="Face") == expected
    for change in ({"Face/b.obj": b"v 1\nv 3\n"}, {"Face/new": b""}):
        path = pack(tmp_path / f"{next(iter(change)).replace('/', '-')}.zip", MEMBERS | change)
        assert download.folder_digest(path, folder="Face") != expected
    assert download.folder_digest(pack(tmp_path / "none.zip", {"x": b""}), folder="Face") != expected


def test_an_archive_is_checked_by_its_folder(server, tmp_path):
    server.data = pack(tmp_path / "packed.zip", MEMBERS).read_bytes()
    sha256 = download.folder_digest(tmp_path / "packed.zip", folder="Face")
    for data in (server.data, pack(tmp_path / "again.zip", dict(reversed(MEMBERS.items()))).read_bytes()):
        server.data = data
        destination = tmp_path / "got" / f"{len(server.asked)}.zip"
        download.fetch(server.url, destination, sha256=sha256, folder="Face")
        assert destination.read_bytes() == data


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_not_the_archive_is_removed(server, tmp_path, packed):
    server.data = pack(tmp_path / "x.zip", {"Other/x": b""}).read_bytes() if packed else b"no archive at all"
    with pytest.raises(FaceError, match="the folder Face in it is not the one expected"):
        download.fetch(server.url, tmp_path / "got" / "model.zip", sha256=SHA256, folder="Face")
    assert files(tmp_path / "got") == []


@pytest.mark.slow
def test_the_pinned_digest_is_that_of_the_real_model(reference_data):
    expected = catalogue.find("ict").download
    found = download.folder_digest(reference_data / "ict-facekit.tar.xz", folder=expected.folder)
    assert found == expected.sha256
