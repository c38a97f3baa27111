"""Servers that listen on the loopback: of letter counts in this process, and the command in its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from embedsearch import artifacts, sources
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.serve.http import opened
from embedsearch.serve.http.app import make_app
from embedsearch.serve.http.run import Impatient
from embedsearch.serve.http.server import Settings
from tests.fakes import LISTS, LetterEncoder

PATIENCE = 60  # seconds until a server is ready, on a machine that does other work


@contextmanager
def listening(app):
    """Serve an app from a thread; yield a client of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, http=Impatient, log_level="error", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def serving(indexes, **settings):
    """Serve a folder of indexes from a thread; yield a client of it."""
    with listening(make_app(Settings(indexes, **settings))) as client:
        wait_until(lambda: client.get("/ready").status_code == 200)
        yield client


def wait_until(is_done, seconds=PATIENCE):
    """Wait for something that another thread or process does."""
    end = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def patched():
    """Changes modules until the end of a file of tests."""
    with pytest.MonkeyPatch.context() as found:
        yield found


@pytest.fixture(scope="module")
def letters(patched):
    """Have servers count letters; the encoders that they load, in order."""
    loaded = []

    def load(recipe):
        loaded.append(LetterEncoder(recipe))
        return loaded[-1]

    patched.setattr(opened, "open_encoder", load)
    patched.setattr(opened, "encoder_spec", lambda recipe: LetterEncoder(recipe).spec)
    return loaded


@pytest.fixture(scope="module")
def make(patched, tmp_path_factory):
    """Return a function that builds and opens an index of letter counts, all in one folder."""
    root = tmp_path_factory.mktemp("served")
    patched.setitem(sources.SOURCES, "list", "tests.fakes:ListSource")

    def make(name, entries, unit=Unit.TEXT, indexes=root):
        patched.setitem(LISTS, name, entries)
        recipe = Recipe(name, SourceRecipe("list", name), EncoderRecipe(unit), IndexOptions())
        with pytest.MonkeyPatch.context() as building:
            building.delitem(artifacts.ARTIFACTS, "scale", raising=False)
            build = build_index(
                recipe,
                indexes,
                replace=True,
                allow_removal=True,
                load=LetterEncoder,
                describe=lambda recipe: LetterEncoder(recipe).spec,
            )
        return Index(build, LetterEncoder)

    return make


class Process:
    """The command `embedsearch serve` as a process of its own, on a free port."""

    def __init__(self, indexes, *options, port=0, **environment):
        command = [
            sys.executable,
            "-m",
            "embedsearch",
            "serve",
            "--indexes",
            str(indexes),
            "--port",
            str(port),
        ]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
        line = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+) until", line)[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def wait(self):
        """Wait until the indexes are open."""
        wait_until(lambda: self.client.get("/ready").status_code == 200)
        return self

    def end(self, number=signal.SIGTERM):
        """Send a signal; return the exit status, and what was printed after the address."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=PATIENCE)
        self.client.close()
        return self.process.returncode, said
