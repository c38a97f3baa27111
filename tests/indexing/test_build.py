import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedsearch.disk.lock import write_lock
from embedsearch.errors import (
    IndexBusyError,
    IndexNotFoundError,
    RecipeError,
    SourceError,
    TooManyRejectedError,
)
from embedsearch.indexing import build
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Modality, Record, Rejected, Unit, content_hash
from embedsearch.store.build import open_build
from embedsearch.store.folders import STOPPED
from tests.fakes import UNREADABLE, WORD_LIMIT, LetterEncoder, letters, picture, read_ahead, text, version
from tests.fakes import colour as colour_of

WORDS = ["apple", "berry", "cherry", "date", "elder", "fig", "grape"]
ENTRIES = [text(word[0], word, length=len(word)) for word in WORDS]
ROOT = Path(__file__).parents[2]


def test_vectors_stand_in_the_order_of_the_source(make_build, monkeypatch):
    """Row n is the source's n-th record, whatever order and chunks the encoder took them in."""
    read_ahead(monkeypatch, 3)
    build = make_build(ENTRIES)
    assert build.items["id"].to_pylist() == [word[0] for word in WORDS]
    assert build.items["text"].to_pylist() == WORDS
    assert build.items["hash"].to_pylist() == [content_hash(word) for word in WORDS]
    assert build.items["field:length"].to_pylist() == [len(word) for word in WORDS]
    assert np.array_equal(build.vectors, np.stack([letters(word) for word in WORDS]))


def test_models_are_exported_behind_the_lock(make_build, monkeypatch, tmp_path):
    """While the models for queries are exported, others can write the index, and its encoder is dropped."""
    loaded, freed = [], []

    def load(recipe):
        encoder = LetterEncoder(recipe)
        loaded.append(weakref.ref(encoder))
        return encoder

    def export(current, *_):
        with write_lock(tmp_path / "small"):
            gc.collect()
            freed.append((current.manifest.count, [each() for each in loaded]))

    monkeypatch.setattr(build, "export_for_queries", export)
    make_build(ENTRIES, load=load)
    assert freed == [(len(ENTRIES), [None] * len(loaded))]


def test_the_raw_vectors_are_kept(make_build):
    """For cosine the index normalises; what is stored is what the encoder gave."""
    assert make_build([text("a", "aab")]).vectors[0, :2].tolist() == [2, 1]


def test_images_keep_their_path_or_their_bytes(make_build, tmp_path):
    """An image in a file is known by its path, one from a table by its bytes; a bad one is rejected."""
    from PIL import Image

    path = tmp_path / "red ü.png"
    Image.new("RGB", (3, 2), "red").save(path)
    entries = [
        picture("file", path, label="x"), picture("bytes", path.read_bytes()), picture("bad", b"no picture"),
        picture("gone", tmp_path / "gone.png"), text("words", "a text"),
    ]  # fmt: skip
    build = make_build(entries, unit=Unit.IMAGE, max_rejected=0.6)
    assert build.items["id"].to_pylist() == ["file", "bytes"]
    assert build.items["path"].to_pylist() == [str(path), None]
    assert build.items["picture"].to_pylist() == [None, path.read_bytes()]
    assert build.vectors[:, :3].tolist() == [[1, 0, 0], [1, 0, 0]]
    reasons = {each["id"]: each["reason"] for each in build.rejected()}
    assert list(reasons) == ["gone", "words", "bad"]
    assert "not an image" in reasons["bad"]
    assert "No such file" in reasons["gone"]
    assert reasons["words"] == "the source gives a text, the unit image needs a image"


def test_words_are_known_by_their_place(make_build):
    """A word's id is its record's and where it starts there; its span lies in its sentence, which is kept."""
    content = "The cat sat. Cats sit!\nNo"
    build = make_build([text("r", content, who="me"), text("s", "cat")], unit=Unit.WORD)
    rows = build.items.to_pylist()
    assert [row["id"] for row in rows] == ["r#0", "r#4", "r#8", "r#13", "r#18", "r#23", "s#0"]
    assert [row["text"] for row in rows] == ["The cat sat."] * 3 + ["Cats sit!"] * 2 + ["No", "cat"]
    found = [row["text"][row["start"] : row["end"]] for row in rows]
    assert found == ["The", "cat", "sat", "Cats", "sit", "No", "cat"]
    for row, word in zip(rows, found, strict=True):
        start = int(row["id"].split("#")[1])
        assert (content if row["id"][0] == "r" else "cat")[start : start + len(word)] == word
    assert np.array_equal(build.vectors, np.stack([letters(word) for word in found]))
    assert [row["field:who"] for row in rows] == ["me"] * 6 + [None]


def test_truncated_texts_and_lost_words_are_counted(make_build):
    """Texts over the limit are counted; words beyond it have no vector and are counted too."""
    entries = [text("a", "one two"), text("b", "w " * (WORD_LIMIT + 5))]
    report = make_build(entries).manifest.report
    assert (report.entries, report.items, report.truncated, report.lost_words) == (2, 2, 1, 0)
    build = make_build(entries, unit=Unit.WORD, name="words")
    report = build.manifest.report
    assert (report.items, report.truncated, report.lost_words) == (2 + WORD_LIMIT, 1, 5)
    assert len(build.items) == 2 + WORD_LIMIT


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
def test_identical_texts_are_embedded_once(make_build, unit):
    """Of equal texts one goes through the model, and each has its id, its fields and the same vector."""
    encoder = LetterEncoder(EncoderRecipe(unit))
    texts = ["a cat", "dogs", "a cat", "a bee", "dogs", "a cat"]
    entries = [text(str(at), content, at=at) for at, content in enumerate(texts)]
    build = make_build(entries, unit=unit, load=lambda _: encoder)
    assert len(encoder.embedded) == 3
    rows = build.items.to_pylist()
    assert [row["field:at"] for row in rows] == sorted(row["field:at"] for row in rows)
    said = [row["text"][slice(row["start"], row["end"])] for row in rows]
    assert said == (texts if unit is Unit.TEXT else " ".join(texts).split())
    assert np.array_equal(build.vectors, [letters(content) for content in said])


def test_a_vector_that_is_not_finite_is_rejected(make_build):
    """An item to which the model gives NaN is listed, its copies too; the others have their vectors."""

    class Overflowing(LetterEncoder):
        def run(self, prepared):
            """Give NaN to what holds a z."""
            for position, vectors in super().run(prepared):
                yield position, np.where(vectors[:, 25:] > 0, np.nan, vectors)

    entries = [text(str(at), content) for at, content in enumerate(["a", "zoo", "bee", "zoo", "a"])]
    build = make_build(entries, load=Overflowing)
    assert build.items["id"].to_pylist() == ["0", "2", "4"]
    assert np.array_equal(build.vectors, [letters(content) for content in ("a", "bee", "a")])
    assert build.rejected() == [
        {
            "id": str(at),
            "reason": "the model gives it a vector with infinite or undefined numbers",
            "entry": at,
        }
        for at in (1, 3)
    ]


def test_identical_images_are_decoded_once(make_build, tmp_path):
    """Copies of a file are one image to the model, whatever they are called; bad ones are each listed."""
    encoder = LetterEncoder(EncoderRecipe(Unit.IMAGE))
    entries = []
    for name, colour in (("a", "red"), ("b", "navy"), ("c", "red"), ("d", None), ("e", None)):
        path = tmp_path / f"{name}.png"
        path.write_bytes(b"none")
        if colour:
            Image.new("RGB", (4, 4), colour).save(path)
        entries.append(picture(name, path))
    build = make_build(entries, unit=Unit.IMAGE, load=lambda _: encoder)
    assert len(encoder.embedded) == 2
    assert build.items["id"].to_pylist() == ["a", "b", "c"]
    assert np.array_equal(build.vectors, [colour_of(tmp_path / f"{name}.png") for name in "abc"])
    assert [each["id"] for each in build.rejected()] == ["d", "e"]


def test_what_cannot_be_used_is_listed(make_build):
    """What the source or the encoder rejects is listed with its reason, counted, and the rest is built."""
    strange = "a\u2028b\x85c"
    entries = [
        text("good", "apple"), Rejected("line 2", "the row is empty"), text("skull", UNREADABLE),
        Rejected(strange, strange), text("broken", "half a pair \ud800"), text("field", "x", f="\udcff"),
        text("name\udcff", "x"), Rejected("bytes\udcff", "no reason"),
    ]  # fmt: skip
    build = make_build(entries, max_rejected=0.9)
    assert build.items["id"].to_pylist() == ["good"]
    assert build.manifest.report.rejected == len(build.rejected()) == 7
    reasons = {each["id"]: each["reason"] for each in build.rejected()}
    assert reasons["line 2"] == "the row is empty"
    assert reasons["skull"] == "the text holds a skull"
    assert reasons[strange] == strange
    assert {"broken", "field", "name?", "bytes?"} < set(reasons)
    assert "broken character" in reasons["broken"]


@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (0.49, False), (0.0, False), (1.0, True)])
def test_the_share_of_rejected_items_is_kept(make_build, tmp_path, share, passes):
    """Exactly the allowed share passes; above it the build fails with reasons, and the old one stays."""
    old = make_build(ENTRIES)
    entries = [text("a", "apple"), Rejected("b", "torn"), text("c", "cherry"), Rejected("d", "torn")]
    if passes:
        assert make_build(entries, max_rejected=share).manifest.count == 2
        return
    with pytest.raises(TooManyRejectedError, match=r"2 of 4 entries.*2 x torn\. First ones: b, d"):
        make_build(entries, max_rejected=share)
    assert open_build(tmp_path, "small").folder == old.folder
    assert Recipe.load(tmp_path / "small").index.max_rejected == 0.5


def test_nothing_to_index_is_an_error(make_build, tmp_path):
    """An empty source, and one where nothing can be used, fail; nothing is published, and the reason kept."""
    with pytest.raises(TooManyRejectedError, match="a list holds nothing to index"):
        make_build([])
    with pytest.raises(TooManyRejectedError, match="1 of 1 entries"):
        make_build([Rejected("a", "torn")], max_rejected=1.0)
    with pytest.raises(IndexNotFoundError, match=r"first build stopped: 1 of 1 entries .* 1 x torn"):
        open_build(tmp_path, "small")
    make_build(ENTRIES)
    assert not (tmp_path / "small" / STOPPED).exists()


def test_a_mended_source_is_read_anew(make_build):
    """After a build that failed for its rejected items, the next run does not keep the bad items."""
    with pytest.raises(TooManyRejectedError):
        make_build([Rejected("a", "torn"), text("b", "berry")], max_rejected=0.0)
    build = make_build([text("a", "apple"), text("b", "berry")], max_rejected=0.0)
    assert build.items["id"].to_pylist() == ["a", "b"]


def test_another_source_needs_replace(make_build, tmp_path):
    """An index made from something else, or of other units, is replaced only when told so."""
    make_build(ENTRIES)
    other = [text("x", "xylophone")]
    with pytest.raises(RecipeError, match=r"'small' exists and was made from a list \(texts\).*--replace"):
        make_build(other, location="another list")
    with pytest.raises(RecipeError, match="exists"):
        make_build(ENTRIES, unit=Unit.WORD)
    assert open_build(tmp_path, "small").manifest.count == len(WORDS)
    assert make_build(other, location="another list", replace_old=True).manifest.count == 1
    assert Recipe.load(tmp_path / "small").source.location == "another list"


def test_the_same_source_is_built_again_freely(make_build):
    """Another model or metric over the same source needs no leave."""
    first = make_build(ENTRIES)
    second = make_build(ENTRIES, load=version("2"), metric="l2")
    assert second.manifest.metric == "l2"
    assert second.manifest.encoder.fingerprint != first.manifest.encoder.fingerprint


def test_only_the_last_two_builds_are_kept(make_build, tmp_path):
    """The current build and the one before it stay; older ones and left-overs of killed runs go."""
    left = tmp_path / "small" / "builds" / ".new-1"
    left.mkdir(parents=True)
    (left / "vectors.npy").write_bytes(b"half")
    builds = [make_build([*ENTRIES, text("x", "x" * number)]).folder for number in range(1, 5)]
    assert sorted(path.name for path in (tmp_path / "small" / "builds").iterdir()) == [
        builds[2].name, builds[3].name,
    ]  # fmt: skip
    assert open_build(tmp_path, "small").folder == builds[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "hamming"}, "Unknown metric 'hamming'; there are cosine, l2, ip"),
        ({"backend": "faster"}, "There is no backend 'faster'; there are auto, exact"),
        ({"unit": Unit.IMAGE}, "a list holds texts, but the unit image needs images"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(make_build, tmp_path, options, message):
    """What can be known beforehand is refused before a model is loaded or a file written."""
    with pytest.raises(RecipeError, match=message):
        make_build(ENTRIES, load=lambda recipe: pytest.fail("the model was loaded"), **options)  # noqa: ARG005
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused(make_build, tmp_path):
    """While another process writes the index, a build is refused with its pid; then it goes through."""
    make_build(ENTRIES)
    code = (
        "import sys; from pathlib import Path; from embedsearch.disk.lock import write_lock\n"
        "with write_lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "small")],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IndexBusyError, match=rf"another process \(pid {holder.pid}, since "):
            make_build(ENTRIES)
        assert open_build(tmp_path, "small").manifest.count == len(WORDS)
        holder.kill()
    assert make_build(ENTRIES).manifest.count == len(WORDS)


class Listener:
    """Notes what a build tells."""

    def __init__(self):
        self.told, self.total = [], None

    def start(self, encoder, total, done):
        """See `Progress`."""
        self.told, self.total = [done], (encoder.dimension, total)

    def spent(self, waiting, computing):
        """See `Progress`."""

    def advance(self, entries):
        """See `Progress`."""
        self.told.append(entries)

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress`."""
        self.told.append(text)


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
def test_progress_counts_every_entry_once(make_recipe, tmp_path, monkeypatch, unit):
    """What is told sums up to the number of entries, rejected ones and many words or none included."""
    read_ahead(monkeypatch, 3)
    entries = [
        *ENTRIES,
        text("many", "One two. Three four. Five."),
        Rejected("r", "torn"),
        text("none", "..."),
    ]
    listener = Listener()
    build_index(make_recipe(entries, unit=unit), tmp_path, progress=listener, load=LetterEncoder)
    assert listener.total == (26, len(entries))
    assert listener.told[0] == 0
    read = listener.told[: listener.told.index("writing the index")]
    assert sum(read) == len(entries)
    assert min(read) >= 0


def test_an_error_of_the_encoder_stops_the_build(make_build, tmp_path):
    """An error that is not an item's goes up as it is, the old build stays, and the lock is free."""
    old = make_build(ENTRIES)

    class Broken(LetterEncoder):
        def run(self, prepared):  # noqa: ARG002
            raise SourceError("the cable was cut")

    with pytest.raises(SourceError, match="the cable was cut"):
        make_build([*ENTRIES, text("z", "zoo")], load=Broken)
    assert open_build(tmp_path, "small").folder == old.folder
    assert make_build(ENTRIES).manifest.count == len(WORDS)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", range(8))
def test_stopped_at_any_rename_an_index_opens(make_build, tmp_path, monkeypatch, step, before):
    """Stopped before or after any rename of a rebuild, a whole build opens, and the next run goes through."""
    make_build(ENTRIES)
    more = [*ENTRIES, text("h", "honey")]
    replace, steps = Path.replace, iter(range(100))

    def stop(source, target):
        here = next(steps) == step
        if here and before:
            raise KeyboardInterrupt
        result = replace(source, target)
        if here:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        try:
            make_build(more)
        except KeyboardInterrupt:
            count = open_build(tmp_path, "small").manifest.count
            assert count in (len(ENTRIES), len(more))
    build = make_build(more)
    assert build.items["text"].to_pylist() == [*WORDS, "honey"]
    assert open_build(tmp_path, "small").folder == build.folder
    assert len(list((tmp_path / "small" / "builds").iterdir())) <= 2


def test_a_first_build_that_failed_leaves_the_recipe_of_the_last_try(make_build, tmp_path):
    """Where nothing is published yet, rebuild goes on with what was asked for last."""
    bad = [text(str(at), "☠") for at in range(3)]
    for pooling in ("mean", "cls"):
        with pytest.raises(TooManyRejectedError):
            make_build(bad, encoder=EncoderRecipe(Unit.TEXT, pooling=pooling))
    assert Recipe.load(tmp_path / "small").encoder.pooling == "cls"


def test_a_block_of_another_modality_is_rejected(make_build, monkeypatch):
    """Records of bytes are held as columns; of these, too, each is of the modality that the unit needs."""
    read_ahead(monkeypatch, 1)
    entries = [text("a", "apple"), text("b", "berry"), Record("v", Modality.VECTOR, bytes(8))]
    (rejected,) = make_build(entries).rejected()
    reason = "the source gives a vector, the unit text needs a text"
    assert (rejected["id"], rejected["reason"]) == ("v", reason)
