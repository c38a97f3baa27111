"""The command itself: it drains, survives what is sent to it, and answers right after it was killed."""

import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch import artifacts
from embedsearch.cli import cli
from tests.serve.conftest import Process, wait_until
from tests.serve.hostile import files

TEXTS = [
    f"{what} {how}"
    for what in ("a cat", "a car", "a tree", "the sea")
    for how in ("sleeps", "is red", "sings")
]
QUERIES = ["an animal", "a vehicle", "a plant", "water", "music", "colour"]


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    """A folder with an index of texts and one of images, by the bundled models."""
    root = tmp_path_factory.mktemp("real")
    (root / "images").mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (64, 64), name).save(root / "images" / f"{name}.png")
    with pytest.MonkeyPatch.context() as building:
        building.delitem(artifacts.ARTIFACTS, "scale", raising=False)
        es.build(TEXTS, name="texts", engine="torch", precision="fp32", indexes=root / "indexes")
        es.build(root / "images", name="images", engine="torch", precision="fp32", indexes=root / "indexes")
    return root / "indexes"


@pytest.fixture(scope="module")
def server(indexes):
    """The command, on these indexes."""
    made = Process(indexes).wait()
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGKILL)


def test_hostile_images_are_refused_in_a_sentence(server, indexes):
    """None of 100 hostile uploads kills the server or makes it fail; memory comes back."""
    sent = files()
    assert len(sent) == 100

    def send(content):
        return httpx.post(
            f"http://127.0.0.1:{server.port}/v1/indexes/images/search",
            files={"image": ("image.png", content)},
            timeout=60,
        )

    with ThreadPoolExecutor(8) as threads:
        answers = dict(zip(sent, threads.map(send, sent.values()), strict=True))
    assert {each.status_code for each in answers.values()} <= {200, 422}
    refused = {name: each.json()["detail"] for name, each in answers.items() if each.status_code == 422}
    for name, sentence in {
        "nothing": "the file is empty",
        "a text": "the file is not an image that Pillow can read",
        "a program": "an EPS file is a program, which is not run: send a PNG or a JPEG file",
        "a large black image": "the image has 8,000 x 8,000 pixels, more than 50 megapixels; make it smaller",
        "a line": "the image is too thin: 60000 x 1 pixels",
    }.items():
        assert refused[name] == sentence, name
    red = send((indexes.parent / "images" / "red.png").read_bytes()).json()
    assert red["hits"][0]["id"] == "red.png"
    assert server.process.poll() is None


def test_a_killed_server_answers_right_after_its_restart(server, indexes):
    """Under load, `kill -9` and a restart give errors of the connection, and never a wrong answer."""
    texts = es.open("texts", indexes)
    wanted = {query: [(hit.id, hit.distance) for hit in texts.search(query, 3)] for query in QUERIES}
    right, wrong, stopped = [], [], threading.Event()

    def load(number):
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
            for at in range(number, 10**9):
                if stopped.is_set():
                    return
                query = QUERIES[at % len(QUERIES)]
                try:
                    answered = client.post("/v1/indexes/texts/search", json={"text": query, "k": 3})
                except httpx.TransportError:
                    time.sleep(0.05)
                    continue
                found = [(hit["id"], hit["distance"]) for hit in answered.json().get("hits", [])]
                same = len(found) == 3 and all(
                    each == hit and abs(far - distance) < 1e-5
                    for (each, far), (hit, distance) in zip(found, wanted[query], strict=True)
                )
                (right if same else wrong).append(answered.text)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(right) >= 50 or wrong)
        server.end(signal.SIGKILL)
        again = Process(indexes, port=server.port)
        before = len(right)
        wait_until(lambda: len(right) >= before + 50 or wrong)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    status, said = again.end()
    assert not wrong, wrong[0]
    assert (status, said) == (-signal.SIGTERM, "")


def test_sigterm_drains(indexes):
    """After SIGTERM a request in flight is answered, and no new connection is taken."""
    made = Process(indexes, "--timeout", "300").wait()
    many = [f"{text}, {number} times" for number in range(200) for text in TEXTS[:10]]
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(made.client.post, "/v1/embeddings", json={"model": "texts", "input": many})
        with httpx.Client(base_url=made.client.base_url, timeout=30) as looking:
            wait_until(lambda: "embedsearch_queue 1.0" in looking.get("/metrics").text)
        made.process.send_signal(signal.SIGTERM)
        assert asked.result().status_code == 200
        assert len(asked.result().json()["data"]) == len(many)
    assert made.process.wait(60) == -signal.SIGTERM
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{made.port}/health")


def test_the_server_is_not_opened_by_mistake(indexes):
    """Beyond this machine the command wants a token or --open; a taken port is named."""
    refused = CliRunner().invoke(cli, ["serve", "--host", "0.0.0.0", "--indexes", str(indexes)])
    assert refused.exit_code == 1
    assert "Give --token with a secret that requests must carry, or --open" in refused.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = CliRunner().invoke(cli, ["serve", "--port", str(port), "--indexes", str(indexes)])
    assert refused.exit_code == 1
    assert f"Can't listen at 127.0.0.1, port {port}: Address already in use." in refused.stderr


def test_without_the_extra_the_command_names_it():
    """Where FastAPI is not installed, the command says what to install."""
    code = "import sys; sys.modules['fastapi'] = None; from embedsearch.cli import cli; cli(['serve'])"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr == "Error: The server needs fastapi: pip install 'embedsearch[serve]'\n"
