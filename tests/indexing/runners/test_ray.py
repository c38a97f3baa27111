"""Builds on a Ray cluster of two local nodes give what the local runner gives, whoever dies meanwhile."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from embedsearch.errors import MissingExtraError, RecipeError, ServerError
from embedsearch.indexing import runners
from embedsearch.indexing.runners import check_runner
from tests.indexing.runners.ray_session import BATCH, RECORDS, ROOT

REJECTED = {
    "images": ["07.png"],
    "parquet": [f"texts.parquet:{number + 1}" for number in range(5, 300, 17)],
    "webdataset": ["0/03", "1.tar"],
    "dataset": [],
}
KILLED = ["actor", "driver", "raylet"]
# what has joined the cluster once goes on with its connection
NAMES = ["local", "join", "ray", "client", *REJECTED, "model", "other_version", *KILLED]
ALONE = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
SECONDS = 600
# A worker that dies costs the batches that it has.
LOST = 2 * BATCH


def namespace_missing():
    """Return why no network namespace can be had; empty where it can."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "unshare and ip are missing"
    tried = subprocess.run([*ALONE, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What `ray_session` made of all that it tried, in one cluster: a start takes ten seconds."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'embedsearch[ray]'")
    if why := namespace_missing():
        pytest.skip(f"Ray listens on every interface, and no network namespace can be had: {why}")
    folder = tmp_path_factory.mktemp("ray")
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as short:
        # The path of a socket has 107 characters at most. Ray writes an address where it keeps its files.
        (Path(short) / "ray").mkdir()
        command = [sys.executable, "-m", "tests.indexing.runners.ray_session", str(folder), short, *NAMES]
        ran = subprocess.run(
            [*ALONE, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr[-4000:]
    found = json.loads((folder / "made.json").read_text())
    failed = {name: each["error"] for name, each in found.items() if "error" in each}
    return found, failed


@pytest.fixture
def done(made):
    """Return a function that gives what was made under a name."""

    def get(name):
        assert name not in made[1], made[1][name]
        return made[0][name]

    return get


def assert_same(found, wanted):
    """Check that two builds hold the same, in the same order, to the last bit."""
    for part in ("ids", "vectors", "rejected"):
        assert found[part] == wanted[part], part
    assert len(found["ids"]) + len(found["rejected"]) == found["told"]["entries"]


@pytest.mark.parametrize("name", ["ray", "client", *KILLED])
def test_the_build_is_that_of_the_local_runner(done, name):
    """Ids, vectors and what was rejected are the same in order, with kills and without."""
    assert_same(done(name), done("local"))
    assert len(done("local")["rejected"]) > 10


def test_each_text_is_embedded_once(done):
    """Without a kill nothing is embedded twice."""
    assert set(Counter(text for _, text in done("ray")["log"]).values()) == {1}


@pytest.mark.parametrize("name", ["actor", "raylet"])
def test_who_dies_costs_its_batches(done, name):
    """What is embedded again after a kill is at most what one worker had in hand."""
    log = done(name)["log"]
    again = len(log) - len({text for _, text in log})
    assert again <= LOST
    assert len({worker for worker, _ in log}) > 1


def test_a_killed_driver_is_resumed_by_another_runner(done):
    """After kill -9 of the driver its shards are taken up, and the rest is embedded by the local runner."""
    found = done("driver")
    assert found["killed"] == -9
    resumed = found["told"]["done"][0]
    assert 0 < resumed < RECORDS
    assert len(found["log"]) - len(found["before"]) <= RECORDS - resumed + LOST


def test_progress_is_that_of_the_local_runner(done):
    """What computes is said once, and the bar counts each entry once, also over a kill."""
    wanted = done("local")["told"]
    for name in ("ray", "actor", "raylet"):
        told = done(name)["told"]
        assert (told["computing"], told["entries"]) == (wanted["computing"], wanted["entries"])
    assert "starting 2 Ray workers of 1 processor" in done("ray")["told"]["stages"]


@pytest.mark.parametrize("name", REJECTED)
def test_nodes_read_what_the_driver_would(done, name):
    """The nodes read a source that can be divided: the build is the same by a driver that lacks what reads.

    What can't be decoded or read costs itself alone, as here.
    """
    found = done(name)
    assert_same(found["there"], found["here"])
    assert [identity for identity, _ in found["there"]["rejected"]] == REJECTED[name]


def test_a_real_model_gives_the_same_bits(done):
    """The bundled text model in fp32 gives bit-equal vectors, and the manifests say the same of it."""
    found = done("model")
    assert found["equal"]
    assert found["shape"] == [120, 384]
    assert found["encoders"][0] == found["encoders"][1]


def test_another_version_on_a_node_is_refused(made):
    """A node with another embedsearch than the driver's is named in one sentence."""
    assert "and this machine has 99.0. Install the same there" in made[1]["other_version"]


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nonsense"])
def test_a_bad_address_is_a_sentence(address):
    """Where nothing listens, the error names the address and what is expected."""
    from embedsearch.indexing.runners.ray import connected

    said = rf"Ray can't be used at {address}: .* Expected auto"
    with pytest.raises(ServerError, match=said), connected(address):
        pass


def test_what_was_asked_for_is_checked_first(monkeypatch):
    """An unknown runner, an address without Ray, and a missing Ray are told before anything is read."""
    with pytest.raises(RecipeError, match=r"Unknown runner 'rey'; there are local, ray\."):
        check_runner("rey", "")
    with pytest.raises(RecipeError, match="give --runner ray"):
        check_runner("local", "auto")
    monkeypatch.setattr(runners, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"embedsearch\[ray\]"):
        check_runner("ray", "auto")


def node(**resources):
    """Return a node as Ray describes it."""
    return {"Alive": True, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "device", "workers", "cpus", "gpus"),
    [
        ([node(CPU=2.0)], "auto", 2, 1, 0),
        ([node(CPU=64.0), node(CPU=32.0)], "auto", 12, 8, 0),
        ([node(CPU=16.0, GPU=4.0), node(CPU=16.0, GPU=2.0)], "auto", 6, 0, 1),
        ([node(CPU=16.0, GPU=4.0)], "cpu", 8, 2, 0),
        ([node(CPU=4.0), {**node(CPU=64.0), "Alive": False}], "auto", 4, 1, 0),
    ],
)
def test_workers_take_a_gpu_or_a_share_of_the_processors(nodes, device, workers, cpus, gpus):
    """One worker a GPU; else at most eight a node, which share its processors."""
    from embedsearch.indexing.runners.ray import Share

    assert Share.of(nodes, device) == Share(workers, cpus, gpus)


def test_a_device_that_the_cluster_lacks_is_refused():
    """No GPU for --device cuda, and no processor at all, are each a sentence."""
    from embedsearch.indexing.runners.ray import Share

    with pytest.raises(ServerError, match="0 GPUs and 2 processors, and no cuda"):
        Share.of([node(CPU=2.0)], "cuda")
    with pytest.raises(ServerError, match="and no processors"):
        Share.of([node()], "auto")
