"""Builds on a Ray cluster of two nodes, in a process in a network namespace of its own.

    unshare -n python -m tests.indexing.runners.ray_session FOLDER TEMPORARY_FOLDER NAME...

Ray listens on every interface, and here there is the loopback alone. What each build made is printed as JSON.
"""

import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
import traceback
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image

from embedsearch.artifacts import ARTIFACTS
from embedsearch.errors import EmbedsearchError
from embedsearch.indexing import shards as staging
from embedsearch.indexing.build import build_index
from embedsearch.indexing.read import Reader
from embedsearch.indexing.runners import ray as ray_runner
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources import dataset
from embedsearch.sources.shards import TarMember
from tests.fakes import UNREADABLE, LetterEncoder, Told, read_ahead

ROOT = Path(__file__).parents[3]
RECORDS, BATCH, SHARD = 800, 16, 64
STORE = 120 * 2**20
KINDS = {
    "texts.txt": "lines",
    "images": "images",
    "texts.parquet": "parquet",
    "shards": "webdataset",
    "saved": "dataset",
}


class LoggedEncoder(LetterEncoder):
    """Writes down who embeds which text, and takes its time."""

    def __init__(self, recipe, log, pause=0.0):
        super().__init__(recipe)
        self._log, self._pause = log, pause

    def run(self, prepared):
        """See `Encoder.run`."""
        for position, vectors in super().run(prepared):
            with Path(self._log).open("a") as file:
                file.write(f"{os.getpid()} {str(self.embedded[-1]).split()[0]}\n")
            time.sleep(self._pause)
            yield position, vectors


class Reported(Told):
    """Counts entries, and remembers what was said to compute them."""

    def __init__(self):
        super().__init__()
        self.entries, self.computing, self.done = 0, [], []

    def start(self, encoder, total, done):  # noqa: ARG002
        """See `Progress.start`."""
        self.computing.append([encoder.spec.model, encoder.precision, encoder.device, encoder.engine])
        self.done.append(done)

    def advance(self, entries):
        """See `Progress.advance`."""
        self.entries += entries


def write_texts(path):
    """Write numbered texts, among them some that the encoder rejects, and some that are there twice."""
    draw = random.Random(1)
    lines = []
    for number in range(RECORDS):
        words = " ".join("".join(draw.choices("abcdefghij", k=5)) for _ in range(draw.randrange(1, 6)))
        lines.append(f"{number} {words}{UNREADABLE * (draw.random() < 0.05)}\n")
        if draw.random() < 0.1:
            lines.append(draw.choice(lines))
    path.write_text("".join(lines))


def build(source, folder, log, runner="local", address="", pause=0.0):
    """Build an index, and return what it holds."""
    told = Reported()
    kind = KINDS[source.name]
    unit = Unit.IMAGE if kind in ("images", "webdataset") else Unit.TEXT
    recipe = Recipe("small", SourceRecipe(kind, str(source)), EncoderRecipe(unit))
    made = build_index(
        recipe,
        folder,
        progress=told,
        load=partial(LoggedEncoder, log=str(log), pause=pause),
        runner=runner,
        address=address,
    )
    return {**contents(made), "told": vars(told)}


def contents(build):
    """Return what a build holds, to be compared: ids and vectors in their order, and what was rejected."""
    rows = range(build.manifest.count)
    return {
        "ids": build.read(list(rows), ["id"])["id"],
        "vectors": np.asarray(build.vectors, np.float32).tolist(),
        "rejected": [[each["id"], each["reason"]] for each in build.rejected()],
    }


def child(*arguments):
    """Build in this process, which is one of its own; write what `build` returns."""
    settle()
    source, folder, log, runner, address, pause = arguments
    made = build(Path(source), Path(folder), Path(log), runner, address, float(pause))
    (Path(folder) / "made.json").write_text(json.dumps(made))


def settle():
    """Make batches and shards small, and build vectors alone."""
    read_ahead(pytest.MonkeyPatch(), BATCH)
    staging.SHARD_VECTORS, staging.SHARD_SECONDS = SHARD, math.inf
    ARTIFACTS.clear()


def lines_of(log):
    """Return who embedded what, as pairs of texts."""
    return [line.split(" ", 1) for line in log.read_text().splitlines()] if log.is_file() else []


def when(log, count, act):
    """Act when a log has so many lines; what it returns is a thread."""

    def wait():
        while len(lines_of(log)) < count:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


class Session:
    """What is tried on the cluster, each under its name."""

    def __init__(self, folder):
        from ray.cluster_utils import Cluster

        self.folder = folder
        self.texts = folder / "texts.txt"
        write_texts(self.texts)
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": STORE,
                "include_dashboard": False,
                "temp_dir": sys.argv[2],
                "ray_client_server_port": 10001,
            },
        )
        self.node = self.cluster.add_node(num_cpus=1, object_store_memory=STORE)
        self.address = self.cluster.address

    def build(self, name, **options):
        """Build the texts under a name."""
        return build(self.texts, self.folder / name, self.folder / f"{name}.log", **options)

    def local(self):
        """Build without Ray."""
        return self.build("local")

    def join(self):
        """Become part of the cluster."""
        ray.init(self.address, log_to_driver=False, logging_level="ERROR")
        return {}

    def ray(self):
        """Build on the cluster."""
        made = self.build("ray", runner="ray", address=self.address)
        return {**made, "log": lines_of(self.folder / "ray.log")}

    def model(self):
        """Embed with a real model, here and on the cluster."""
        texts = self.folder / "few.txt"
        texts.write_text("".join(f"{number} {'a word and ' * (number % 7)}more\n" for number in range(120)))
        encoder = EncoderRecipe(Unit.TEXT, model="all-MiniLM-L6-v2", engine="torch", precision="fp32")
        recipe = Recipe("model", SourceRecipe("lines", str(texts)), encoder)
        here = build_index(recipe, self.folder / "here")
        there = build_index(recipe, self.folder / "there", runner="ray", address=self.address)
        return {
            "equal": np.array_equal(here.vectors, there.vectors),
            "shape": here.vectors.shape,
            "encoders": [str(here.manifest.encoder), str(there.manifest.encoder)],
        }

    def images(self):
        """Build from files, one of them damaged, here and on the cluster."""
        source = self.folder / "images"
        source.mkdir()
        for number in range(40):
            Image.new("RGB", (8, 8), (number * 6, 0, 255)).save(source / f"{number:02}.png")
        (source / "07.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
        return self.both(source, Reader, "read")

    def both(self, source, owner, name):
        """Build here, and on the cluster by a driver that lacks the method which reads."""
        stem = self.folder / source.stem
        here = build(source, stem.with_suffix(".near"), stem.with_suffix(".log"))
        with pytest.MonkeyPatch().context() as patch:
            patch.setattr(owner, name, None)
            there = build(source, stem.with_suffix(".far"), stem.with_suffix(".log"), "ray", self.address)
        return {"here": here, "there": there}

    def parquet(self):
        """Build from a file of several row groups, some texts of which are empty."""
        texts = ["" if number % 17 == 5 else f"row {'word ' * (number % 5)}{number}" for number in range(300)]
        source = self.folder / "texts.parquet"
        table = pa.table({"text": texts, "number": range(300)})
        pq.write_table(table, source, row_group_size=64)
        return self.both(source, pq.ParquetFile, "iter_batches")

    def webdataset(self):
        """Build from two archives, in one of which an image is damaged, and one of which is cut off."""
        source = self.folder / "shards"
        source.mkdir()
        for shard in range(2):
            with tarfile.open(source / f"{shard}.tar", "w") as archive:
                for number in range(20):
                    data = io.BytesIO()
                    Image.new("RGB", (8, 8), (number * 6, shard * 99, 9)).save(data, "png")
                    held = b"torn" if (shard, number) == (0, 3) else data.getvalue()
                    entry = tarfile.TarInfo(f"{number:02}.png")
                    entry.size = len(held)
                    archive.addfile(entry, io.BytesIO(held))
        whole = (source / "1.tar").read_bytes()
        (source / "1.tar").write_bytes(whole[: 20 * 1024 - 100])
        return self.both(source, TarMember, "read")

    def dataset(self):
        """Build from a data set saved on disk."""
        from datasets import Dataset

        source = self.folder / "saved"
        Dataset.from_dict({"text": [f"text {number}" for number in range(200)]}).save_to_disk(str(source))
        dataset.PART_ROWS = 64
        return self.both(source, Dataset, "iter")

    def other_version(self):
        """Build where the nodes have another version than the driver."""
        with pytest.MonkeyPatch().context() as patch:
            patch.setattr(ray_runner, "version", lambda _: "99.0")
            return self.build("version", runner="ray", address=self.address)

    def client(self):
        """Build on the cluster from outside; on a busy machine Ray's proxy may come too late."""
        for _ in range(3):
            with self.child("client", "ray://127.0.0.1:10001") as process:
                pass
            if process.returncode == 0:
                break
        return json.loads((self.folder / "client" / "made.json").read_text())

    def child(self, name, address, pause=0.0):
        """Start a build on the cluster in a process of its own."""
        arguments = [self.texts, self.folder / name, self.folder / f"{name}.log", "ray", address, pause]
        code = f"from {__spec__.name} import child; import sys; child(*sys.argv[1:])"
        return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT)

    def actor(self):
        """Build while a worker is killed."""
        log = self.folder / "actor.log"
        when(log, 100, lambda: os.kill(int(lines_of(log)[-1][0]), signal.SIGKILL))
        made = self.build("actor", runner="ray", address=self.address, pause=0.004)
        return {**made, "log": lines_of(log)}

    def driver(self):
        """Build, kill that, and build again without Ray."""
        log = self.folder / "driver.log"
        with self.child("driver", self.address, 0.004) as process:
            when(log, 300, process.kill).join(60)
        time.sleep(1)  # its workers end
        before = lines_of(log)
        made = self.build("driver")
        return {**made, "killed": process.returncode, "before": before, "log": lines_of(log)}

    def raylet(self):
        """Build while a node is killed."""
        log = self.folder / "raylet.log"
        pid = self.node.all_processes["raylet"][0].process.pid
        when(log, 100, lambda: os.kill(pid, signal.SIGKILL))
        made = self.build("raylet", runner="ray", address=self.address, pause=0.004)
        return {**made, "log": lines_of(log)}


def main():
    """Run what is asked for, and print what it made."""
    settle()
    folder = Path(sys.argv[1])
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_worker_niceness="0",
        PYTHONPATH=str(ROOT),
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
    )
    found = {}
    session = Session(folder)
    for name in sys.argv[3:]:
        since = time.monotonic()
        try:
            found[name] = getattr(session, name)()
        except EmbedsearchError as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
        except Exception:
            found[name] = {"error": traceback.format_exc()}
        found[name]["seconds"] = time.monotonic() - since
        (folder / "made.json").write_text(json.dumps(found))
    ray.shutdown()
    session.cluster.shutdown()


if __name__ == "__main__":
    main()
