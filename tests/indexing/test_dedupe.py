"""Copies far apart: what a pass has embedded already is found again by its content."""

import numpy as np
import pytest
from PIL import Image

from embedsearch.indexing import shards
from embedsearch.indexing.build import build_index
from embedsearch.indexing.dedupe import Originals
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests.fakes import UNREADABLE, WORD_LIMIT, LetterEncoder, colour, letters, picture, read_ahead, text


def hashed(number):
    """Return the halves of a content hash: they differ, and so do those of its neighbours."""
    return number * 7919 % 1000003, number


@pytest.mark.parametrize("sizes", [[1], [5, 5, 5], [1] * 40, [30, 1, 2, 60, 1]])
def test_every_content_leads_to_its_first_record(sizes):
    """Whatever the batches, a content leads to the first record that had it, a new one to itself."""
    originals, record, want = Originals(), 0, {}
    draw = np.random.default_rng(len(sizes))
    for size in sizes:
        numbers = draw.integers(0, 50, size).tolist()
        highs, lows = (np.array(each, np.uint64) for each in zip(*map(hashed, numbers), strict=True))
        records = np.arange(record, record + size)
        found = originals.first(highs, lows, records)
        for number, each in zip(numbers, records.tolist(), strict=True):
            want.setdefault(number, each)
        assert found.tolist() == [want[number] for number in numbers]
        record += size


def test_halves_of_a_hash_are_both_compared():
    """A content whose hash begins alike is another one, and its copies are not known."""
    originals = Originals()
    highs = np.array([7, 7, 7, 7], np.uint64)
    found = originals.first(highs, np.array([1, 2, 1, 2], np.uint64), np.arange(4))
    assert found.tolist() == [0, 1, 0, 3]


@pytest.fixture
def small(monkeypatch):
    """Read three entries at a time, and close a shard at five vectors."""
    read_ahead(monkeypatch, 3)
    monkeypatch.setattr(shards, "SHARD_VECTORS", 5)


LONG = " ".join(["long"] * (WORD_LIMIT + 3))
TEXTS = [*"abcdefghijkl", LONG, "b", "m", LONG, *"hab", "x", "l", "n", "o", "a", "x"]


@pytest.mark.usefixtures("small")
def test_copies_read_apart_are_embedded_once(make_build):
    """A text batches later takes the first one's vector, whole or cut."""
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    build = make_build([text(str(at), each, at=at) for at, each in enumerate(TEXTS)], load=lambda _: encoder)
    assert np.array_equal(build.vectors, LetterEncoder(EncoderRecipe(Unit.TEXT)).encode(TEXTS))
    assert build.items["text"].to_pylist() == TEXTS
    assert build.items["id"].to_pylist() == [str(at) for at in range(len(TEXTS))]
    assert build.items["field:at"].to_pylist() == list(range(len(TEXTS)))
    assert build.manifest.report.truncated == 2
    assert sorted(set(encoder.embedded)) == sorted(set(TEXTS))
    assert {each: encoder.embedded.count(each) for each in "abhl"} == dict.fromkeys("abhl", 1)


@pytest.mark.usefixtures("small")
def test_copies_of_what_can_not_be_used_are_listed_each(make_build):
    """A copy, read apart, of what the encoder refuses is rejected for the same reason, without a try."""
    contents = [*"abc", UNREADABLE, *"def", UNREADABLE, "a", *"gh", UNREADABLE]
    tried = []

    class Noting(LetterEncoder):
        def prepare(self, items, role="passage"):
            """Note what is tried."""
            tried.extend(items)
            return super().prepare(items, role)

    build = make_build([text(str(at), each) for at, each in enumerate(contents)], load=Noting)
    assert tried.count(UNREADABLE) == 1
    reason = "the text holds a skull"
    assert build.rejected() == [{"id": str(at), "reason": reason, "entry": at} for at in (3, 7, 11)]
    assert build.items["text"].to_pylist() == [*"abcdefagh"]
    assert np.array_equal(build.vectors, [letters(each) for each in "abcdefagh"])
    assert build.source_state.entries["rows"].tolist() == [int(each != UNREADABLE) for each in contents]


@pytest.mark.usefixtures("small")
def test_copies_of_images_are_decoded_once(make_build, tmp_path):
    """An image's copy, whatever it is called, takes the vector of the first one."""
    encoder = LetterEncoder(EncoderRecipe(Unit.IMAGE))
    shades, made = [10 * (at % 12) for at in range(30)], []
    for at, shade in enumerate(shades):
        Image.new("RGB", (4, 4), (shade, 0, 0)).save(tmp_path / f"{at}.png")
        made.append(picture(str(at), tmp_path / f"{at}.png"))
    build = make_build(made, unit=Unit.IMAGE, load=lambda _: encoder)
    assert len(encoder.embedded) == 12
    assert np.array_equal(build.vectors, [colour(tmp_path / f"{at}.png") for at in range(30)])


@pytest.mark.usefixtures("small")
def test_a_stopped_run_knows_what_it_had_seen(make_recipe, tmp_path):
    """After a run that broke off, copies of what its whole shards hold are not embedded again."""
    made = [text(str(at), each) for at, each in enumerate(TEXTS)]

    class Breaking(list):
        def __iter__(self):
            yield from made[:13]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(make_recipe(Breaking(made)), tmp_path, load=LetterEncoder)
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    build = build_index(make_recipe(made), tmp_path, load=lambda _: encoder)
    assert not {"a", "b", "h"} & set(encoder.embedded)
    assert np.array_equal(build.vectors, LetterEncoder(EncoderRecipe(Unit.TEXT)).encode(TEXTS))


@pytest.mark.usefixtures("small")
def test_a_rebuild_keeps_and_copies(make_build):
    """Beside vectors kept of the build before, new copies of new contents are embedded once."""
    make_build([text(str(at), each) for at, each in enumerate("abcdef")])
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    now = [*"axbcydefz", *"mnopqr", *"xyzw", "a", "x"]
    build = make_build([text(f"{at}{each}", each) for at, each in enumerate(now)], load=lambda _: encoder)
    assert sorted(encoder.embedded) == sorted("mnopqrwxyz")
    assert np.array_equal(build.vectors, [letters(each) for each in now])
