"""Archives from a server of our own: whole, refused, broken off, or not what was expected."""

import contextlib
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

MEMBERS = {"Face/b.obj": b"v 1\r\nv 2\n", "Face/deep/a.obj": b"\x00\xff", "Other/c.obj": b"no" * 20_000}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.data`; the server's fields say how well it behaves."""

    def do_GET(self):
        server = self.server
        server.asked += 1
        if server.status != 200:
            return self.send_error(server.status)
        self.send_response(200)
        self.send_header("Content-Length", str(len(server.data)))
        self.end_headers()
        if server.stalls:
            server.released.wait(10)
        self.wfile.write(server.data[: server.limit])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data = pack(tmp_path / "packed.zip", MEMBERS).read_bytes()
        server.sha256 = download.folder_digest(tmp_path / "packed.zip", folder="Face")
        server.status, server.limit, server.stalls, server.asked = 200, None, False, 0
        server.released, server.handle_error = threading.Event(), lambda *client: None  # a client may hang up
        server.url = f"http://127.0.0.1:{server.server_port}/model.zip"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def fetch(server, destination, **settings):
    download.fetch(server.url, destination, sha256=server.sha256, folder="Face", **settings)


def expect(words, server, folder):
    with pytest.raises(FaceError, match=words) as caught:
        fetch(server, folder / "model.zip")
    assert "--from" in str(caught.value) and "\n" not in str(caught.value)
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(folder) == []


def test_an_archive_arrives_once(server, tmp_path):
    destination = tmp_path / "downloads" / "model.zip"
    fetch(server, destination)
    assert destination.read_bytes() == server.data and os.listdir(destination.parent) == ["model.zip"]
    fetch(server, destination)  # it is there already
    assert server.asked == 1
    destination.write_bytes(b"something else")
    fetch(server, destination)
    assert destination.read_bytes() == server.data and server.asked == 2


def test_an_archive_is_known_however_it_is_packed(server, tmp_path):
    server.data = pack(tmp_path / "again.zip", dict(reversed(MEMBERS.items()))).read_bytes()
    fetch(server, tmp_path / "got" / "model.zip")
    assert (tmp_path / "got" / "model.zip").read_bytes() == server.data


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_not_the_archive_is_not_kept(server, tmp_path, packed):
    server.data = pack(tmp_path / "x.zip", {"Other/x": b""}).read_bytes() if packed else b"no archive at all"
    expect(f"the folder Face in it is not the one expected.*not {server.sha256[:12]}", server, tmp_path / "got")


@pytest.mark.parametrize(("status", "words"), [(404, "HTTP 404 Not Found"), (500, "HTTP 500"), (403, "HTTP 403")])
def test_refusals_are_told(server, tmp_path, status, words):
    server.status = status
    expect(words, server, tmp_path / "got")


def test_a_transfer_that_breaks_off_is_told_and_can_be_repeated(server, tmp_path):
    server.limit = 20
    expect("cannot be fetched.*run the command again", server, tmp_path / "got")
    server.limit = None
    fetch(server, tmp_path / "got" / "model.zip")
    assert (tmp_path / "got" / "model.zip").read_bytes() == server.data


def test_a_stalled_transfer_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    server.stalls = True
    expect("timed out.*run the command again", server, tmp_path / "got")


def test_a_server_that_is_not_there_is_told(server, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        expect("127.0.0.1.*cannot be fetched .Connection refused.: check the network", server, tmp_path / "got")


def test_a_name_that_cannot_be_looked_up_is_told(server, tmp_path, monkeypatch):
    def fail(*arguments, **settings):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    server.url = "https://example.invalid/x"
    expect("example.invalid/x cannot be fetched .Name or service not known", server, tmp_path / "got")


def test_a_full_or_closed_disk_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FaceError, match="cannot be written.*JAXFACE_HOME"):
        fetch(server, tmp_path / "file" / "model.zip")


def test_progress_is_shown_on_request(server, tmp_path, capsys):
    fetch(server, tmp_path / "a.zip")
    assert capsys.readouterr().err == ""
    fetch(server, tmp_path / "b.zip", progress=True)
    assert "100%" in capsys.readouterr().err


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


@pytest.mark.slow
def test_the_pinned_digest_is_that_of_the_real_model(reference_data):
    expected = catalogue.find("ict").download
    found = download.folder_digest(reference_data / "ict-facekit.tar.xz", folder=expected.folder)
    assert found == expected.sha256
