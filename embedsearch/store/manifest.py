"""What a build says of itself, and the names of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedsearch.backends.facts import IndexFacts
from embedsearch.disk.checksums import FileFacts
from embedsearch.disk.facts import from_json, stored, to_json
from embedsearch.distances.metric import Metric
from embedsearch.errors import IndexDamagedError, RecipeError
from embedsearch.models.facts import EncoderFacts
from embedsearch.recipe import RECIPE_FILE, Recipe
from embedsearch.records import Unit
from embedsearch.store.facts import Artifacts, BuildReport, CentringFacts, SourceChanges

CURRENT, BUILDS, MANIFEST = "current", "builds", "manifest.json"
ITEMS, VECTORS, SOURCE_STATE, REJECTED = "items.arrow", "vectors.npy", "ledger.npy", "rejected.jsonl"
INDEX, PROBES, QUERIES, SCALE = "index.faiss", "probes.npz", "queries.npy", "scale.npz"
CENTRING = "centring.npz"  # there only where vectors are centred
COLUMNS = "columns.npz"  # what was learnt from the columns of a table; there only where rows have vectors
UNKNOWN = "unknown.npy"  # there only where the model does not know all of some text
NOT_READ = frozenset({VECTORS, SOURCE_STATE, QUERIES})  # what a reader of an index on a server does without
SCHEMA = 2
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


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
        encoder: what made the vectors.
        recipe: what it was made from.
        fields: Arrow type of each field, by name.
        report: counts and seconds of the build.
        files: size and SHA-256 of each file, by name.
        index: what is known of the index over the vectors.
        changes: what changed in the source since the build before; None for a first or a full build.
        before: the id of the build that was current before; empty for a first one.
        artifacts: what it carries beside its vectors.
        queries: SHA-256 of the file of queries that the index was tuned with; empty without one, and in
            builds of 0.6.
        centring: how the vectors were centred; None where they are as the model gives them.
        schema: version of this format.
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
    encoder: EncoderFacts
    recipe: Recipe
    fields: Mapping[str, str]
    report: BuildReport
    files: Mapping[str, FileFacts]
    index: IndexFacts
    changes: SourceChanges | None
    before: str = ""
    artifacts: Artifacts = field(default=Artifacts(), metadata=stored("additions"))
    queries: str = field(default="", metadata=stored(optional=True))
    centring: CentringFacts | None = field(default=None, metadata=stored(optional=True))
    schema: int = SCHEMA

    @property
    def model_dimension(self) -> int:
        """Numbers in a vector as the model gives it."""
        return self.dimension if self.centring is None else self.centring.numbers

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values: the recipe without the name, no changes as an empty object."""
        values: dict[str, Any] = to_json(self)
        del values["recipe"]["name"]
        return {**values, "changes": values["changes"] or {}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Manifest:
        """Return what `to_json` made `values` of.

        Raises:
            ValueError, KeyError, TypeError, RecipeError: they are no manifest of this format.
        """
        recipe = {**values["recipe"], "name": values["name"]}
        return from_json(cls, {**values, "recipe": recipe, "changes": values["changes"] or None})

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`, with a checksum of what it says."""
        values = self.to_json()
        text = json.dumps({**values, "checksum": _checksum(values)}, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `folder/manifest.json`.

        Raises:
            IndexDamagedError: it is missing, is not JSON, was altered, or is of another format.
        """
        path, index = folder / MANIFEST, folder.parent.parent
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            checksum, schema = values.pop("checksum", ""), values["schema"]
            if schema != SCHEMA:
                raise IndexDamagedError(f"{path} {_of_another_format(schema, values, index)}")
            if checksum != _checksum(values):
                raise ValueError("it was altered: its checksum is another")
            manifest = cls.from_json(values)
            if missing := {ITEMS, SOURCE_STATE, VECTORS, REJECTED} - set(manifest.files):
                raise ValueError(f"it does not list {', '.join(sorted(missing))}")
        except (*_UNREADABLE, RecipeError) as error:
            advice = mend(index, folder.name)
            raise IndexDamagedError(f"{path} can't be read: {_reason(error)}. {advice}") from None
        return manifest


def mend(index: Path, damaged: str = "") -> str:
    """Return the sentence that says how an index becomes whole again.

    Args:
        index: its folder.
        damaged: its current build; empty where there is none.
    """
    again = f"embedsearch rebuild {index.name}"
    builds = [each.name for each in (index / BUILDS).glob("[!.]*")]
    if any(not damaged or each < damaged for each in builds):
        return f"Go back to the previous build: embedsearch rollback {index.name}, or build it again: {again}"
    return f"Build it again: {again}"


def _of_another_format(schema: Any, values: Mapping[str, Any], index: Path) -> str:
    """Return what to do about a manifest of another format, as the rest of a sentence."""
    from importlib.metadata import version

    made = f"is of format {schema!r:.20}, written by embedsearch {values.get('version')!s:.20}"
    reads = f"embedsearch {version('embedsearch')} reads format {SCHEMA}"
    if schema == 1:
        has_recipe = (index / RECIPE_FILE).is_file()
        again = f"rebuild {index.name} --full" if has_recipe else f"build SOURCE --name {index.name}"
        return f"{made}; {reads}. Build the index again: embedsearch {again}"
    return (
        f"{made}; {reads}. Update embedsearch, or go back to the previous build: "
        f"embedsearch rollback {index.name}"
    )


def _checksum(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _reason(error: BaseException) -> str:
    """Return why a manifest can't be read, without the words of a parser."""
    if isinstance(error, OSError):
        return error.strerror or "it can't be opened"
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
        return "it was truncated or altered: it is no longer JSON"
    if isinstance(error, (ValueError, RecipeError)):
        return str(error).splitlines()[0]
    return "it was altered: parts of it are missing"
