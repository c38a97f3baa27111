"""The vectors of the captions of images, which lie in the space where texts find the images.

A build takes over those of unchanged captions; only new ones are embedded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.artifacts.scale import cross_scale, to_others
from embedsearch.backends import AUTO, Settings, backend_class, choose, free_memory
from embedsearch.crossmodal.captions import INDEX, ROWS, SCALE, VECTORS, open_vectors
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
) -> CaptionsFacts | None:
    """Embed the captions of a build's images, and write their vectors, an index and a scale into `folder`.

    Captions that the model can't read, or of which it does not know more than a third, are left out.

    Args:
        folder: of the build in the making.
        items: of the build; see `embedsearch.store.items`.
        recipe: which field holds the captions, and how the index is made.
        encoder: loads the text model.
        place: raw vectors of texts (n, d) to where they are compared, (n, e).
        background: (b, e) float32, unrelated texts where they are compared; or the scale to take over.
        progress: reports how it goes on.
        old: a build of the same text model and placing, whose vectors are kept.
        records: which rows belong to one record, whose caption stands at the first of them; None where each
            row is a record.

    Returns:
        The facts; None where no image has a caption.
    """
    captions = texts_of(items, recipe.captions)
    if records is not None:
        captions = {row: captions[row] for row in records.starts.tolist() if row in captions}
    known = {} if old is None else _known(old)
    new = list(dict.fromkeys(text for text in captions.values() if text not in known))
    if new:
        progress.stage(f"embedding {len(new):,} captions")
        known |= _embedded(encoder(), new, place)
    rows = [row for row, text in captions.items() if text in known]
    if not rows:
        return None
    vectors = np.stack([known[captions[row]] for row in rows])  # c x (e,) -> (c, e)
    np.save(folder / VECTORS, vectors.astype(np.float32 if recipe.storage == "fp32" else np.float16))
    np.save(folder / ROWS, np.array(rows, np.int64))
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
    return CaptionsFacts(recipe.captions, len(rows), len(new), replace(backend.facts, asked="captions"))


def _known(old: Build) -> dict[str, Vectors]:
    """Return the vectors (e,) of a build's captions by their text; none where it has none."""
    facts = old.manifest.artifacts.crossmodal
    if facts is None or facts.captions is None:
        return {}
    texts = texts_of(old.items, facts.captions.field)
    vectors = np.asarray(open_vectors(old), np.float32)
    return {texts[row]: vectors[at] for at, row in enumerate(load_array(old.folder / ROWS).tolist())}


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
