"""What the tests of places share: images, zip archives, and servers of this machine: web, S3 and Google's."""

import io
import socket
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from PIL import Image

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (99, 99, 99)


def png(colour: tuple[int, int, int], side: int = 4) -> bytes:
    """Return an image of one colour; all of one side have as many bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer, and note what was asked for."""
        self.server.gets.append(self.path)
        super().do_GET()

    def end_headers(self) -> None:
        """Name the version of a file, as web servers and S3 do."""
        path = Path(self.translate_path(self.path))
        if path.is_file():
            stat = path.stat()
            self.send_header("ETag", f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on a port of this machine; yield its address, and the paths that were read."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        server.gets = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server.gets
        finally:
            server.shutdown()


class _Endless(_Handler):
    def do_GET(self) -> None:
        """Send zeros, without a length, until nobody reads them or 100 MB are sent."""
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            for _ in range(100):
                self.wfile.write(bytes(2**20))
                self.server.sent[0] += 2**20


@contextmanager
def endless() -> Iterator[tuple[str, list[int]]]:
    """Serve a file that does not end; yield its address, and how many bytes were sent."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        server.sent = [0]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/x.png", server.sent
        finally:
            server.shutdown()


@contextmanager
def bucket(kind: str) -> Iterator[fsspec.AbstractFileSystem]:
    """Serve an empty bucket `pets` by the protocol of S3 ("s3") or of Google ("gs"); yield its file system.

    The server is named in the environment, as a user names one.
    """
    with pytest.MonkeyPatch.context() as environment, _server(kind) as named:
        for name, value in named.items():
            environment.setenv(name, value)
        files = fsspec.filesystem(kind)
        files.mkdir("pets")
        yield files
        files.clear_instance_cache()


@contextmanager
def _server(kind: str) -> Iterator[dict[str, str]]:
    """Start a server of a protocol; yield the variables of the environment that name it."""
    if kind == "s3":
        server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        credentials = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret"}
        yield {"AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()), **credentials}
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = pytest.importorskip("gcp_storage_emulator.server").create_server("127.0.0.1", port, True)
        server.start()
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", **_PLAIN_BUCKETS}
    server.stop()


_PLAIN_BUCKETS = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
