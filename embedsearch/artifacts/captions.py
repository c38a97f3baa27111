"""The vectors of the captions of images, which lie in the space where texts find the images.

Captions are those of a field, and those that a file gave the images (`align --captions`). A build takes over
the vectors of unchanged captions; only new ones are embedded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.artifacts.scale import cross_scale, to_others
from embedsearch.backends import AUTO, Settings, backend_class, choose, free_memory
from embedsearch.crossmodal.captions import GIVEN, INDEX, ROWS, SCALE, VECTORS, open_given, open_vectors
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.encoders import Encoder, gather
from embedsearch.errors import ItemError
from embedsearch.progress import Progress
from embedsearch.recipe import IndexOptions, parse_memory
from embedsearch.records import MOST_UNKNOWN
from embedsearch.store.build import Build, Records
from embedsearch.store.facts import CaptionsFacts
from embedsearch.store.items import Items, texts_of

Place = Callable[[Vectors], Vectors]


def write_captions(
    folder: Path,
    items: Items,
    recipe: IndexOptions,
    encoder: Callable[[], Encoder],
    place: Place,
    background: Vectors | Path,
    progress: Progress,
    old: Build | None = None,
    records: Records | None = None,
    given: Sequence[tuple[str, str]] = (),
) -> CaptionsFacts | None:
    """Embed the captions of a build's images, and write their vectors, an index and a scale into `folder`.

    Captions that the model can't read, or of which it does not know more than a third, are left out.

    Args:
        folder: of the build in the making; the captions of a file that lie there are written again.
        items: of the build; see `embedsearch.store.items`.
        recipe: which field holds the captions, and how the index is made.
        encoder: loads the text model.
        place: raw vectors of texts (n, d) to where they are compared, (n, e).
        background: (b, e) float32, unrelated texts where they are compared; or the scale to take over.
        progress: reports how it goes on.
        old: a build of the same text model and placing, whose vectors are kept.
        records: which rows belong to one record, whose caption stands at the first of them; None where each
            row is a record.
        given: captions of a file: ids of items, and texts.

    Returns:
        The facts; None where no image has a caption.
    """
    of_field = texts_of(items, recipe.captions)
    if records is not None:
        of_field = {row: of_field[row] for row in records.starts.tolist() if row in of_field}
    ids = items["id"].to_pylist() if given else []
    first = {identity: row for row, identity in reversed(list(enumerate(ids)))}
    of_file = [(first[identity], text) for identity, text in given if identity in first]
    captions = dict.fromkeys([*of_field.items(), *of_file])
    known = {} if old is None else _known(old)
    new = list(dict.fromkeys(text for _, text in captions if text not in known))
    if new:
        progress.stage(f"embedding {len(new):,} captions")
        known |= _embedded(encoder(), new, place)
    kept = [(row, text) for row, text in captions if text in known]
    if not kept:
        return None
    vectors = np.stack([known[text] for _, text in kept])  # c x (e,) -> (c, e)
    np.save(folder / VECTORS, vectors.astype(np.float32 if recipe.storage == "fp32" else np.float16))
    np.save(folder / ROWS, np.array([row for row, _ in kept], np.int64))
    (folder / GIVEN).unlink(missing_ok=True)
    if beside := [(ids[row], text) for row, text in kept if of_field.get(row) != text]:
        (folder / GIVEN).write_text(json.dumps(beside, ensure_ascii=False), encoding="utf-8")
    stored: Vectors = load_array(folder / VECTORS, mapped=True)
    memory = parse_memory(recipe.memory) if recipe.memory else free_memory() // 2
    kind = recipe.backend if recipe.backend != AUTO else choose(len(stored), stored.shape[1], memory)
    settings = Settings(memory, recipe.recall, None, progress.stage, progress.advance)
    backend = backend_class(kind).build(kind, stored, Metric.COSINE, settings)
    backend.save(folder / INDEX)
    if isinstance(background, Path):
        shutil.copyfile(background, folder / SCALE)
    else:
        near = to_others(backend, stored) if len(stored) > 1 else None
        cross_scale(backend, stored, Metric.COSINE, background, near).save(folder / SCALE)
    images = len({row for row, _ in kept})
    return CaptionsFacts(recipe.captions, images, len(new), replace(backend.facts, asked="captions"))


def _known(old: Build) -> dict[str, Vectors]:
    """Return the vectors (e,) of a build's captions by their text; none where it has none."""
    facts = old.manifest.artifacts.crossmodal
    if facts is None or facts.captions is None:
        return {}
    texts = texts_of(old.items, facts.captions.field)
    vectors, rows = np.asarray(open_vectors(old), np.float32), load_array(old.folder / ROWS).tolist()
    given = [text for _, text in open_given(old)]  # the last rows
    said = [*(texts[row] for row in rows[: len(rows) - len(given)]), *given]
    return dict(zip(said, vectors, strict=True))


def _embedded(encoder: Encoder, texts: list[str], place: Place) -> dict[str, Vectors]:
    """Return the placed vectors (e,) of those texts that the model knows well enough, by text."""
    prepared = encoder.prepare(texts)
    good = [
        (text, each)
        for text, each in zip(texts, prepared, strict=True)
        if not isinstance(each, ItemError) and each.unknown <= MOST_UNKNOWN
    ]
    if not good:
        return {}
    ready = [each for _, each in good]
    vectors = place(gather(ready, encoder.run(ready), encoder.dimension))
    return dict(zip((text for text, _ in good), vectors, strict=True))
