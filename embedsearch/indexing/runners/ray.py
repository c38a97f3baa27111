"""Batches to vectors on the machines of a Ray cluster, or on this one.

Workers are actors of Ray that hold the encoder, one a GPU or a share of the processors. The driver plans,
hands out batches, and takes their vectors in order. It decides what becomes of a batch whose worker dies, so
Ray itself restarts and repeats nothing. Ray Data runs a closed pipeline from reading to writing; here a plan
stands in between, which knows what the build before has vectors of, so workers are asked directly.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.encoders import Encoder
from embedsearch.errors import EmbedsearchError, MissingExtraError, ServerError
from embedsearch.indexing.batch import Batch, Embedded, Far
from embedsearch.indexing.read import HERE, Read, Reading, read_contents
from embedsearch.indexing.runners.local import compute, joined, works
from embedsearch.modalities import modality_of
from embedsearch.models.spec import EncoderSpec
from embedsearch.progress import Computing
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Content, Passages, Record, Rejected, Unit
from embedsearch.sources.parts import Part
from embedsearch.store.source_state import ENTRY

LOCAL = "local"
IN_FLIGHT = 2  # batches that a worker has: one is read while the other is computed
WORKERS_A_NODE = 8  # at most, where they share processors: each holds the model
MOST_AHEAD = 64  # batches that are read ahead
MOST_DEATHS = 4  # workers that may die over one batch
POLLED = 0.1  # seconds
REPORTED = 0.5  # seconds between two questions to a worker how far it is
CONNECT = 5.0  # seconds until a cluster must answer
PATIENCE = 600.0  # seconds without any worker, until the build gives up
STORE = 2**29  # bytes of Ray's object store, where it is started here: a few batches
# Ray sends usage to its maker, and warns of what nobody asked.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """What computes on workers; see `embedsearch.progress.Computing`."""

    spec: EncoderSpec
    dimension: int
    device: str
    precision: str
    engine: str
    decoding: str


@dataclass(frozen=True, slots=True)
class Share:
    """What each worker gets of the cluster.

    Attributes:
        workers: how many there are.
        cpus: processors of each.
        gpus: 1, or 0 where it computes on processors.
    """

    workers: int
    cpus: int
    gpus: int

    @classmethod
    def of(cls, nodes: Sequence[dict[str, Any]], device: str) -> Share:
        """Divide a cluster.

        Args:
            nodes: what `ray.nodes` returns.
            device: as in a recipe.

        Raises:
            ServerError: the cluster has nothing of it.
        """
        held = [each["Resources"] for each in nodes if each["Alive"]]
        gpus = int(sum(each.get("GPU", 0) for each in held))
        if gpus and (device == "auto" or device.startswith("cuda")):
            return cls(gpus, 0, 1)
        cpus = [int(each.get("CPU", 0)) for each in held]
        if device not in ("auto", "cpu") or not sum(cpus):
            wanted = "processors" if device in ("auto", "cpu") else device
            raise ServerError(f"The Ray cluster has {gpus} GPUs and {sum(cpus)} processors, and no {wanted}.")
        share = math.ceil(max(cpus) / WORKERS_A_NODE)
        return cls(sum(each // share for each in cpus), share, 0)


class Worker:
    """The actor: it holds an encoder, and embeds the contents of batches.

    Two calls of `embed` overlap: one reads while the other computes.
    """

    def __init__(self, make: Callable[[EncoderRecipe], Encoder], recipe: EncoderRecipe, table: bytes) -> None:
        """Note what to load.

        Args:
            make: what makes the encoder.
            recipe: of the encoder.
            table: of rows, what was learnt from their table; it may lie on another machine.
        """
        self._make, self._recipe, self._table = make, recipe, table
        self._reading, self._stopped = threading.Lock(), threading.Event()
        self._done: Counter[int] = Counter()

    def start(self) -> Remote:
        """Load the encoder, and tell how it computes."""
        with tempfile.TemporaryDirectory() as folder:
            recipe = self._recipe
            if recipe.table:
                path = Path(folder) / Path(recipe.table).name
                path.write_bytes(self._table)
                recipe = replace(recipe, table=str(path))
            encoder = self._encoder = self._make(recipe)
        sys.setswitchinterval(modality_of(encoder.spec.unit).switching)
        self._computing = threading.Semaphore(2 if encoder.device.startswith("cuda") else 1)
        return Remote(
            encoder.spec,
            encoder.dimension,
            encoder.device,
            encoder.precision,
            encoder.engine,
            encoder.decoding,
        )

    def embed(self, number: int, contents: Sequence[Any], entries: int, far: Far | None) -> Embedded:
        """Return what the encoder makes of the contents of a batch.

        Args:
            number: of the batch.
            contents: see `Batch`.
            entries: that the progress counts for them.
            far: which of the contents to take, without its reference; None for all.
        """
        if far is not None:
            taken = [contents[at] for at in far.places.tolist()]
            contents = [Passages(each) if far.wraps and isinstance(each, str) else each for each in taken]
        nothing = np.empty(0, np.int64)
        batch = Batch(entries, "", (), np.empty(0, ENTRY), nothing, nothing, False, contents=contents)
        coming = works(iter([batch]), self._encoder)
        parts: list[Embedded] = []

        def advance(entries: int) -> None:
            self._done[number] += entries

        while True:
            with self._reading:
                work = next(coming, None)
            if work is None:
                break
            with self._computing:
                parts.append(compute(work, self._encoder, advance, self._stopped))
        del self._done[number]
        return joined(parts)

    def progress(self) -> dict[int, int]:
        """Return how many entries of each batch under way are done."""
        return dict(self._done)


class Cluster:
    """The connection to a cluster, made when it is needed first."""

    def __init__(self) -> None:
        self._stack: ExitStack | None = None
        self._processors = 0
        self._ray: Any = None

    @property
    def ahead(self) -> int:
        """How many batches are read ahead: one a processor, and one as long as the cluster is not known."""
        return min(max(1, self._processors), MOST_AHEAD)

    def connect(self, address: str) -> Any:
        """Return the module ray, connected; see `connected`."""
        if self._stack is None:
            self._stack = ExitStack()
            self._stack.enter_context(connected(address))
            import ray

            self._ray, self._processors = ray, int(ray.cluster_resources().get("CPU", 0))
        return self._ray

    def close(self) -> None:
        """Let the connection go; it can be made again."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None


def _read(records: Mapping[int, Record], unit: Unit) -> tuple[Read, Sequence[Content]]:
    """Read contents on a node of the cluster, where they stay."""
    found = read_contents(records, unit)
    return replace(found, contents=()), found.contents


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads what lies in files on the nodes; see `Reading`."""

    runner: RayRunner

    @property
    def ahead(self) -> int:
        return self.runner.cluster.ahead

    def begin(self, records: Mapping[int, Record], unit: Unit) -> Callable[[], Read]:
        """See `Reading.begin`; what a node can't open, this process tries."""
        if all(isinstance(each.content, str | bytes) for each in records.values()):
            return HERE.begin(records, unit)
        ray = self.runner.cluster.connect(self.runner.address)
        task = ray.remote(_read).options(num_cpus=0, num_returns=2, scheduling_strategy="SPREAD")
        read, contents = task.remote(records, unit)

        def wait() -> Read:
            try:
                found: Read = ray.get(read)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError:  # nodes have died
                return read_contents(records, unit)
            if found.lost:
                return read_contents(records, unit)

            def fetch() -> Sequence[Content]:
                try:
                    fetched: Sequence[Content] = ray.get(contents)
                except ray.exceptions.RayError:  # the node that held them has died
                    again = read_contents(records, unit)
                    if again.hashes != found.hashes:
                        raise ServerError(
                            "A node of the Ray cluster died with what it had read, and the source has "
                            "changed since. Run the command again: it resumes."
                        ) from None
                    return again.contents
                return fetched

            return replace(found, contents=Far(contents, fetch, np.arange(len(found.hashes))))

        return wait

    def parts(self, parts: Iterable[Part]) -> Iterator[Iterable[Any]]:
        """See `Reading.parts`; what a node can't read, this process tries."""
        ray = self.runner.cluster.connect(self.runner.address)
        task = ray.remote(_pieces).options(num_cpus=0, scheduling_strategy="SPREAD")
        asked: deque[tuple[Part, Any]] = deque()
        coming = iter(parts)
        while True:
            for part in islice(coming, 1 + self.ahead - len(asked)):
                asked.append((part, task.remote(part)))
            if not asked:
                return
            part, reference = asked.popleft()
            try:
                pieces: Sequence[Any] = ray.get(reference)
            except ray.exceptions.RayError:  # also what can't be unpickled there
                yield part()
                continue
            yield part() if pieces and isinstance(pieces[-1], str | Rejected) else pieces


def _pieces(part: Part) -> list[Any]:
    """Read a part of a source on a node of the cluster."""
    return list(part())


@dataclass(frozen=True, slots=True)
class RayRunner:
    """See `Runner`.

    Attributes:
        on_stage: is told how many workers start.
        make: what makes the encoder on a worker; it is pickled.
        address: of a cluster: `auto`, `host:port` or `ray://host:port`; empty to start Ray on this machine.
    """

    load: Callable[[EncoderRecipe], Encoder]
    on_progress: Callable[[int], None]
    on_start: Callable[[Computing], None]
    on_stage: Callable[[str], None]
    make: Callable[[EncoderRecipe], Encoder]
    address: str = ""
    cluster: Cluster = field(default_factory=Cluster, compare=False)

    @property
    def reading(self) -> Reading:
        """Any process of the cluster, some batches ahead."""
        return _Reading(self)

    def map(self, batches: Iterable[Batch], recipe: EncoderRecipe) -> Iterator[Batch]:
        """See `Runner.map`.

        Raises:
            MissingExtraError: Ray is not installed.
            ServerError: the cluster can't be reached or used, or has no worker left.
        """
        batches = iter(batches)
        try:
            for batch in batches:
                if batch.contents:
                    self.cluster.connect(self.address)
                    yield from self._embed(chain([batch], batches), recipe)
                else:
                    self.on_progress(batch.entries)
                    yield batch
        finally:
            self.cluster.close()

    def _embed(self, batches: Iterator[Batch], recipe: EncoderRecipe) -> Iterator[Batch]:
        pool = _Pool(self, recipe)
        held: deque[Batch] = deque()  # planned, in order
        first = planned = 0  # the number of the first one held, and of the next
        with ThreadPoolExecutor(1, thread_name_prefix="plan") as planner:
            planning: Future[Batch | None] | None = planner.submit(next, batches, None)
            waited = computed = 0.0
            try:
                while planning is not None or held:
                    if planning is not None and len(held) < pool.room and (planning.done() or pool.is_hungry):
                        since = time.perf_counter()
                        batch = planning.result()
                        waited += time.perf_counter() - since
                        planning = None if batch is None else planner.submit(next, batches, None)
                        if batch is not None:
                            held.append(batch)
                            pool.submit(planned, batch)
                            planned += 1
                    elif first in pool.made:
                        batch = held.popleft()
                        batch.embedded = pool.made.pop(first)
                        batch.embedded.waited, batch.embedded.computed = waited, computed
                        waited = computed = 0.0
                        first += 1
                        yield batch
                    else:
                        since = time.perf_counter()
                        pool.wait()
                        computed += time.perf_counter() - since
            finally:
                pool.close()


@dataclass(slots=True, eq=False)
class _Held:
    """A worker, and the batches that it has."""

    actor: Any
    is_ready: bool = False
    numbers: set[int] = field(default_factory=set)
    asked: float = math.inf  # when it may be asked how far it is


class _Pool:
    """The workers of a run, and what each has in hand.

    Attributes:
        made: what became of batches, by number.
        room: how many batches may be planned ahead of the first one that is missing.
    """

    def __init__(self, runner: RayRunner, recipe: EncoderRecipe) -> None:
        import ray

        self._ray, self._runner = ray, runner
        _check_nodes(ray)
        self._share = share = Share.of(ray.nodes(), recipe.device)
        encoder = runner.load(recipe)
        self._recipe = _pinned(recipe, encoder, share)
        self._table = Path(recipe.table).read_bytes() if recipe.table else b""
        self._kind = ray.remote(Worker).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_concurrency=IN_FLIGHT + 1,  # and the question how far it is
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self.made: dict[int, Embedded] = {}
        self.room = (IN_FLIGHT + 1) * share.workers
        self._is_started = False
        self._contents: dict[int, tuple[Any, Far | None]] = {}  # see `Worker.embed`; until the batch is done
        self._reported: Counter[int] = Counter()
        self._entries: dict[int, int] = {}
        self._deaths: Counter[int] = Counter()
        self._queue: deque[int] = deque()
        self._workers: list[_Held] = []
        self._asked: dict[Any, tuple[_Held, str, int]] = {}  # by the reference of a result: who, what, which
        self._failures = 0  # workers that died before one was ready
        self._alone = time.monotonic()  # since when no worker is ready
        for _ in range(share.workers):
            self._begin()
        what = "a GPU" if share.gpus else f"{share.cpus} processor{'s' * (share.cpus > 1)}"
        runner.on_stage(f"starting {share.workers} Ray worker{'s' * (share.workers > 1)} of {what}")

    @property
    def is_hungry(self) -> bool:
        """Whether no worker has anything to do."""
        return not self._contents

    def submit(self, number: int, batch: Batch) -> None:
        """Hand out a batch; its contents leave this process."""
        if batch.contents:
            if isinstance(batch.contents, Far):
                far = replace(batch.contents, reference=None, fetch=_nothing)
                self._contents[number] = batch.contents.reference, far
            else:
                self._contents[number] = self._ray.put(batch.contents), None
            batch.contents = []
            self._entries[number] = batch.entries
            self._queue.append(number)
            self._hand_out()
        else:
            self._runner.on_progress(batch.entries)
            self.made[number] = batch.embedded

    def wait(self) -> None:
        """Take in what workers have done, or wait a moment for it."""
        now = time.monotonic()
        for held in self._workers:
            if held.numbers and now >= held.asked:
                held.asked = math.inf
                self._asked[held.actor.progress.remote()] = held, "progress", -1
        if self._asked:
            self._ray.wait(list(self._asked), timeout=POLLED)
            done, _ = self._ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        else:
            time.sleep(POLLED)
            done = []
        for reference in done:
            if reference in self._asked:  # else its worker has died meanwhile
                self._take(reference)
        if any(held.is_ready for held in self._workers):
            self._alone = time.monotonic()
        elif time.monotonic() - self._alone > PATIENCE:
            raise ServerError(
                f"No Ray worker has started for {PATIENCE / 60:.0f} minutes: the cluster has no free "
                f"{'GPU' if self._share.gpus else 'processors'}. Run the command again when it has; what is "
                "done is kept."
            )
        self._hand_out()

    def _take(self, reference: Any) -> None:
        exceptions = self._ray.exceptions
        held, what, number = self._asked.pop(reference)
        try:
            found = self._ray.get(reference)
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EmbedsearchError):
                raise ServerError(f"A Ray worker can't embed: {cause}") from None
            raise
        except exceptions.RayError as error:  # the worker has died, or its node with the result
            self._bury(held, error)
            return
        if what == "start":
            held.is_ready, self._failures = True, 0
            if not self._is_started:
                self._is_started = True
                self._runner.on_start(found)
        elif what == "progress":
            for each, entries in found.items():
                self._report(each, entries)
            held.asked = time.monotonic() + REPORTED
        else:
            self.made[number] = found
            self._report(number, self._entries.pop(number))
            self._reported.pop(number, None)
            del self._contents[number]
            held.numbers.discard(number)

    def _report(self, number: int, entries: int) -> None:
        """Report entries of a batch, those once that a second worker repeats."""
        more = entries - self._reported[number]
        if number in self._contents and more > 0:
            self._reported[number] = entries
            self._runner.on_progress(more)

    def _hand_out(self) -> None:
        while self._queue:
            free = [held for held in self._workers if held.is_ready and len(held.numbers) < IN_FLIGHT]
            if not free:
                return
            held = min(free, key=lambda each: len(each.numbers))
            number = self._queue.popleft()
            if not held.numbers:
                held.asked = time.monotonic() + REPORTED
            held.numbers.add(number)
            reference, far = self._contents[number]
            result = held.actor.embed.remote(number, reference, self._entries[number], far)
            self._asked[result] = held, "embed", number

    def _begin(self) -> None:
        """Ask the cluster for a worker; it may come late."""
        held = _Held(self._kind.remote(self._runner.make, self._recipe, self._table))
        self._workers.append(held)
        self._asked[held.actor.start.remote()] = held, "start", -1

    def _bury(self, held: _Held, error: Exception) -> None:
        """Give the batches of a dead worker to others, and ask for another worker.

        Raises:
            ServerError: one of the batches has ended several workers, or none starts.
        """
        self._workers.remove(held)
        self._ray.kill(held.actor)
        for reference in [each for each, (owner, _, _) in self._asked.items() if owner is held]:
            del self._asked[reference]
        self._deaths.update(held.numbers)
        self._failures += not held.is_ready
        worst = max((self._deaths[number] for number in held.numbers), default=0)
        if max(worst, self._failures) >= MOST_DEATHS:
            raise ServerError(
                f"{MOST_DEATHS} Ray workers died one after the other, "
                f"{'over the same batch' if worst else 'before they had the model'}: {_first_line(error)}. "
                "Perhaps a node has too little memory. What is done is kept."
            )
        self._queue.extendleft(sorted(held.numbers, reverse=True))
        self._begin()

    def close(self) -> None:
        """Let all workers go."""
        for held in self._workers:
            self._ray.kill(held.actor)


def _pinned(recipe: EncoderRecipe, encoder: Encoder, share: Share) -> EncoderRecipe:
    """Return the recipe by which workers compute as this process would, where both use processors.

    A batch of as many tokens is padded alike, so that fp32 agrees to the last bit.
    """
    if share.gpus:
        return replace(recipe, device="cuda")
    return replace(
        recipe,
        device="cpu",
        precision=encoder.precision,
        engine=encoder.engine if recipe.engine == "auto" else recipe.engine,
        decoding=encoder.decoding or recipe.decoding,
        batch_tokens=recipe.batch_tokens or getattr(encoder, "batch_budget", 0),
    )


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Hold a connection to a cluster; one that the program has already is taken, and stays.

    Raises:
        MissingExtraError: Ray is not installed.
        ServerError: there is no cluster at the address.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not address and "RAY_AUTH_MODE" not in os.environ:
        # Ray listens on every interface, and runs what it is sent.
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--runner ray needs Ray: pip install 'embedsearch[ray]'") from None
    if ray.is_initialized():
        yield
        return
    here = {} if address else {"include_dashboard": False, "object_store_memory": STORE}
    try:
        _knock(address)
        ray.init(address=address or LOCAL, log_to_driver=False, logging_level="ERROR", **here)
    except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ServerError(
            f"Ray can't be used at {address or 'this machine'}: {_first_line(error)}. Expected auto (a "
            "cluster that this machine is part of), host:6379 or ray://host:10001. A cluster starts with "
            "`ray start --head`; one with tokens needs RAY_AUTH_MODE=token and its RAY_AUTH_TOKEN here, too."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Check that something listens at an address, which Ray itself gives up after minutes.

    Raises:
        OSError: nothing does.
        ValueError: it names no port.
    """
    if address in ("", "auto", LOCAL):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("that is no address")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()


def _check_nodes(ray: Any) -> None:
    """Check that each node has the same embedsearch.

    Raises:
        ServerError: a node has none, or another version.
    """

    def installed() -> str:  # pickled by value, so that it runs where embedsearch is not installed
        from importlib import metadata

        try:
            return metadata.version("embedsearch")
        except metadata.PackageNotFoundError:
            return ""

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    try:
        here = version("embedsearch")
    except PackageNotFoundError:  # run from a folder
        return
    nodes = [each for each in ray.nodes() if each["Alive"]]
    asking = ray.remote(installed)
    asked = [
        asking.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)
        ).remote()
        for each in nodes
    ]
    for node, reference in zip(nodes, asked, strict=True):
        try:
            there = ray.get(reference)
        except ray.exceptions.RayError:  # it has gone meanwhile
            continue
        if there != here:
            has = f"embedsearch {there}" if there else "no embedsearch"
            raise ServerError(
                f"The Ray node {node['NodeManagerAddress']} has {has}, and this machine has {here}. Install "
                f"the same there: pip install embedsearch=={here}"
            )


def _nothing() -> Sequence[Content]:
    return ()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".: ") if lines else type(error).__name__
