"""The tokens of a build's texts, kept for re-ranking: `tokens.bin`, a row each, and `tokens-starts.npy`.

A row of `int8` is the token's unit vector times 127 over its largest number, d bytes, and that factor as a
float16. A row of `1bit` is the sign of each number, d / 8 bytes. A build takes over the rows of texts whose
vectors it takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.artifacts import ArtifactContext
from embedsearch.backends import Rows
from embedsearch.disk.mapped import is_small
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, open_encoder
from embedsearch.encoders.token_rows import tokens_of
from embedsearch.store.build import Build
from embedsearch.store.facts import TokensFacts
from embedsearch.store.items import Items, open_table
from embedsearch.store.manifest import ITEMS

FILE, STARTS = "tokens.bin", "tokens-starts.npy"
TOGETHER = 256  # texts whose tokens are computed, or copied, at a time
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class KeptTokens:
    """The tokens of a build's texts.

    Attributes:
        facts: what the manifest says of them.
        starts: (n + 1,) int64, the first row of each text, and the number of all rows.
        rows: (T, b) bytes, memory-mapped unless they are few.
    """

    facts: TokensFacts
    starts: Rows
    rows: Bytes

    def bytes_of(self, row: int) -> Bytes:
        """Return the rows of the text of an item as they are kept, (t, b)."""
        return self.rows[self.starts[row] : self.starts[row + 1]]

    def of(self, row: int) -> Vectors:
        """Return the tokens of the text of an item, (t, d) float32 of unit length but for rounding."""
        return unpacked(self.bytes_of(row), self.facts)


def open_tokens(build: Build) -> KeptTokens | None:
    """Return the tokens that a build keeps; None where it keeps none."""
    facts = build.manifest.artifacts.tokens
    return None if facts is None else opened(build.folder, facts)


def refresh(context: ArtifactContext) -> TokensFacts | None:
    """Compute the tokens of new texts, and take over the others; None where none are to be kept."""
    kind = context.recipe.index.keep_tokens
    if not kind:
        return None
    items = open_table(context.folder / ITEMS)
    old, kept = _previous(context, kind)
    new = np.flatnonzero(kept < 0)
    context.progress.stage("computing the tokens of the texts", len(new))
    made = _computed(items, new, context, kind)
    starts = np.zeros(len(kept) + 1, np.int64)
    dimension = 0 if old is None else old.facts.dimension
    with (context.folder / FILE).open("wb") as file:
        for row, before in enumerate(kept.tolist()):
            if before >= 0 and old is not None:
                rows = old.bytes_of(before)
            else:
                dimension, rows = next(made)
            file.write(rows.tobytes())
            starts[row + 1] = starts[row] + len(rows)
    np.save(context.folder / STARTS, starts)
    size = (context.folder / FILE).stat().st_size
    return TokensFacts(kind, dimension, int(starts[-1]), size, len(new))


def packed(rows: Vectors, kind: str) -> Bytes:
    """Return tokens (t, d) of unit length as they are kept, (t, b)."""
    if kind == "1bit":
        return np.packbits(rows > 0, axis=1)  # (t, d) -> (t, d / 8)
    factor = np.abs(rows).max(1, keepdims=True).astype(np.float16) / np.float16(127)  # (t, d) -> (t, 1)
    factor = np.maximum(factor, np.finfo(np.float16).tiny)
    whole = np.clip(np.rint(rows / factor.astype(np.float32)), -127, 127).astype(np.int8)
    return np.concatenate([whole.view(np.uint8), factor.view(np.uint8)], axis=1)  # (t, d) -> (t, d + 2)


def unpacked(rows: Bytes, facts: TokensFacts) -> Vectors:
    """Return tokens as they were before `packed`, but for rounding: (t, b) -> (t, d) float32."""
    if facts.kind == "1bit":
        signs = np.unpackbits(rows, axis=1, count=facts.dimension).astype(np.float32)  # (t, b) -> (t, d)
        size = np.float32(1 / np.sqrt(facts.dimension))
        signs *= 2 * size  # in place: a table of the two numbers takes five times as long
        signs -= size
        return signs
    unit = rows[:, : facts.dimension].view(np.int8).astype(np.float32)
    unit *= np.ascontiguousarray(rows[:, facts.dimension :]).view(np.float16).astype(np.float32)
    return unit


def opened(folder: Path, facts: TokensFacts) -> KeptTokens:
    """Return the tokens that lie in a folder."""
    starts: Rows = load_array(folder / STARTS)
    width = -(-facts.dimension // 8) if facts.kind == "1bit" else facts.dimension + 2
    if not facts.count:  # an empty file can't be mapped
        return KeptTokens(facts, starts, np.empty((0, width), np.uint8))
    if is_small(folder / FILE):
        return KeptTokens(facts, starts, np.fromfile(folder / FILE, np.uint8).reshape(facts.count, width))
    rows: Bytes = np.memmap(folder / FILE, np.uint8, "r", shape=(facts.count, width))
    return KeptTokens(facts, starts, rows)


def _previous(context: ArtifactContext, kind: str) -> tuple[KeptTokens | None, Rows]:
    """Return the tokens of the build before, and which row of it each item has there, (n,); -1 for none."""
    facts, none = context.artifacts_before.tokens, np.full(len(context.vectors), -1, np.int64)
    if (
        facts is None
        or facts.kind != kind
        or context.kept is None
        or context.previous is None
        or not context.same_vectors(any_metric=True)
        or not all(map(context.readable, (FILE, STARTS)))
    ):
        return None, none
    return opened(context.previous.build.folder, facts), context.kept


def _computed(items: Items, rows: Rows, context: ArtifactContext, kind: str) -> Iterator[tuple[int, Bytes]]:
    """Yield the dimension of the tokens of some items, and the tokens as they are kept, (t, b)."""
    encoder: Encoder | None = context.encoder if context.embeds else None
    column = items["text"]
    for start in range(0, len(rows), TOGETHER):
        part = rows[start : start + TOGETHER]
        texts = [column[row].as_py() for row in part.tolist()]  # `take` would copy all texts
        encoder = encoder or open_encoder(context.recipe.encoder)
        for tokens in tokens_of(encoder, texts):
            yield tokens.rows.shape[1], packed(tokens.rows, kind)
        context.progress.advance(len(part))
