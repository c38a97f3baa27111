"""What a build says of itself, and the names of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from embedsearch.distances.metric import Metric
from embedsearch.errors import IndexDamagedError
from embedsearch.records import Unit

CURRENT, BUILDS, MANIFEST = "current", "builds", "manifest.json"
ITEMS, VECTORS, SOURCE_STATE, REJECTED = "items.arrow", "vectors.npy", "ledger.npy", "rejected.jsonl"
INDEX, PROBES, QUERIES, SCALE = "index.faiss", "probes.npz", "queries.npy", "scale.npz"
OLD_ITEMS = "items.parquet"  # of format 1
FILES = "files"  # of an addition, in its facts
SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a build says of itself.

    Attributes:
        name: the index's name when it was built.
        build: the build's id.
        created: ISO 8601, UTC.
        version: of embedsearch.
        unit: what has a vector.
        metric: which distance.
        backend: which kind of index.
        count: number of vectors.
        dimension: their length.
        encoder: the encoder's specification, fingerprint, precision, engine and device.
        recipe: what it was made from.
        fields: Arrow type of each field, by name.
        report: counts and seconds of the build.
        files: size in bytes and SHA-256 of each file, by name.
        index: what the backend says of itself: its parameters, and the recall that it was measured to have.
        changes: what became of the source since the build before, where there was one.
        before: the build that was in force until this one.
        additions: what it carries beside its index, by name; see `embedsearch.artifacts`.
        schema: version of this format; 1 has neither source_state nor checksum of its own.
    """

    name: str
    build: str
    created: str
    version: str
    unit: Unit
    metric: Metric
    backend: str
    count: int
    dimension: int
    encoder: Mapping[str, Any]
    recipe: Mapping[str, Any]
    fields: Mapping[str, str]
    report: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    index: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    additions: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def added_files(self) -> frozenset[str]:
        """The files of all additions."""
        return frozenset(name for facts in self.additions.values() for name in facts.get(FILES, ()))

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`, with a checksum of what it says."""
        values = asdict(self)
        text = json.dumps({**values, "checksum": _checksum(values)}, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `folder/manifest.json`.

        Raises:
            IndexDamagedError: it is missing, is not JSON, or is of another format.
        """
        path = folder / MANIFEST
        remedy = mend(folder.parent.parent.name)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            checksum, schema = values.pop("checksum", ""), values["schema"]
            if schema not in (1, SCHEMA):
                raise IndexDamagedError(
                    f"{path} is of format {schema}; this embedsearch reads {SCHEMA}. {remedy}"
                )
            if schema == SCHEMA and checksum != _checksum(values):
                raise ValueError("it was altered: its checksum is another")
            values["unit"], values["metric"] = Unit(values["unit"]), Metric(values["metric"])
            items = {ITEMS, SOURCE_STATE} if schema == SCHEMA else {OLD_ITEMS}
            if not {*items, VECTORS, REJECTED} <= set(values["files"]):
                raise ValueError("it does not list the files of a build")
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise IndexDamagedError(
                f"{path} can't be read ({_first_line(error)}). {mend(folder.parent.parent.name)}"
            ) from None


def mend(name: str) -> str:
    """Return the sentence that says how the index `name` comes back to a whole build."""
    return (
        f"Take the build before it: embedsearch rollback {name}, or make it anew: embedsearch rebuild {name}"
    )


def _checksum(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
