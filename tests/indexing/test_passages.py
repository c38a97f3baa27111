"""Long texts from end to end: split, found by their best passage, rebuilt, interrupted, rolled back."""

import json
import os
import shutil
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
from click.testing import CliRunner

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.encoders.probes import least_cosine
from embedsearch.encoders.text import TextEncoder
from embedsearch.errors import QueryError, RecipeError
from tests.fakes import read_ahead

ZEBRA = "A zebra with black and white stripes grazes on the savanna."
WORDS = {name: text for name, text in topics.items() if 3000 < len(text) < 9000}
LONG = "\n\n".join(WORDS.values())[:66_000]
HALF = LONG.index("\n\n", 33_000)
OTHERS = dict(list(WORDS.items())[:3])


def write(folder):
    """Write a long text with a zebra in its middle, a copy, a few other long texts, and a short one."""
    folder.mkdir()
    (folder / "zebra.txt").write_text(f"{LONG[:HALF]}\n\n{ZEBRA}{LONG[HALF:]}")
    shutil.copy(folder / "zebra.txt", folder / "twin.txt")
    (folder / "short.md").write_text("# Pets\n\nA cat sleeps on the mat.")
    for name, text in OTHERS.items():
        (folder / f"{name.lower()}.md").write_text(f"# Topic {name}\n\n{text}")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder that holds the texts, and the indexes."""
    root = tmp_path_factory.mktemp("passages")
    write(root / "texts")
    return root


@pytest.fixture(scope="module")
def index(home):
    """The index of them."""
    return es.build(home / "texts", name="texts", indexes=home / "ix")


def test_a_zebra_in_the_middle_of_a_long_text_is_the_first_hit(index, home):
    """The document is found by its one passage on zebras, and the hit shows that passage."""
    hit, *rest = index.search("a zebra on the savanna", k=3)
    assert hit.id in ("zebra.txt", "twin.txt")
    assert ZEBRA in hit.text == hit.passage.text
    assert hit.distance < 0.6 < rest[0].distance
    start, end = hit.passage.span
    assert (home / "texts" / "zebra.txt").read_text()[start:end] == hit.text


def test_each_document_is_one_hit(index):
    """Every document comes once by default, copies folded; `by` lists passages."""
    assert index.answers == len(OTHERS) + 3
    assert len(index) > 200
    results = index.search("python", k=20)
    assert sorted(hit.id for hit in results) == sorted({hit.id for hit in results})
    assert len(results) == index.answers - 1  # the copy is folded
    assert sum(hit.copies for hit in results) == 1
    passages = index.search("a zebra on the savanna", k=8, by="passage", mode="vector")
    assert len(passages) == 8
    assert len({hit.item for hit in passages}) == 8
    assert [hit.distance for hit in passages] == sorted(hit.distance for hit in passages)
    with pytest.raises(QueryError, match="by record or by passage"):
        index.search("python", by="page")


def test_a_document_is_as_near_as_its_nearest_passage(index):
    """The distance of each hit is the smallest one among the passages of the document."""
    asked = "how to raise an exception"
    everything = index.search(asked, k=len(index), by="passage", fold=False, mode="vector")
    best = {}
    for hit in everything:
        best.setdefault(hit.id, (hit.distance, hit.item))
    results = index.search(asked, k=9, fold=False, mode="vector")
    found = {hit.id: (hit.distance, hit.item) for hit in results}
    assert found == best


def test_a_short_text_is_as_without_passages(index, home):
    """A text that the model reads whole has the id and the vector that it has where nothing is split."""
    whole = es.build(home / "texts", name="whole", indexes=home / "ix", passages="off")
    assert len(whole) == whole.answers == index.answers
    assert whole.manifest.recipe.encoder.splitter == ""
    rows = index.row("short.md"), whole.row("short.md")
    assert index.get("short.md").passage is None
    assert index.get("short.md").text == whole.get("short.md").text
    vectors = [np.asarray(each.build.vectors[row]) for each, row in zip((index, whole), rows, strict=True)]
    assert (
        least_cosine(*(vector[None] for vector in vectors)) > 0.999
    )  # batches of other lengths round otherwise


def test_nothing_that_is_short_is_split(tmp_path):
    """Short texts get the same digits, ids and files of the build, with and without the rule."""
    texts = [f"A sentence about the number {at}." for at in range(300)]
    one, other = (
        es.build(texts, name=rule, indexes=tmp_path, passages=rule, precision="fp32")
        for rule in ("auto", "off")
    )
    assert one.build.records is None
    np.testing.assert_array_equal(one.build.vectors, other.build.vectors)
    assert one.build.items.equals(other.build.items)
    assert one.manifest.files.keys() == other.manifest.files.keys()
    assert one.manifest.encoder.fingerprint != other.manifest.encoder.fingerprint


def test_the_number_of_tokens_can_be_chosen(home):
    """--passages N splits what has over N tokens; passages of another size are of another encoder."""
    small = es.build(
        home / "texts", name="small", indexes=home / "ix", passages=32, exclude=["zebra*", "twin*"]
    )
    assert small.manifest.recipe.encoder.splitter == "32/32/8"
    assert all(len(hit.text.split()) <= 32 for hit in small.search("x", k=500, by="passage"))
    with pytest.raises(RecipeError, match="from 16 to"):
        es.build(home / "texts", name="wrong", indexes=home / "ix", passages=3)
    with pytest.raises(RecipeError, match="--passages is of texts"):
        es.build((["a", "b", "c"], np.eye(3)), name="wrong", indexes=home / "ix", passages=64)


def test_headings_are_fields_that_filters_take(index):
    """Passages of a Markdown file have the headings above them and its title, which filters use."""
    name = next(iter(OTHERS))
    results = index.search("python", k=9, where={"title": f"Topic {name}"})
    assert [hit.id for hit in results] == [f"{name.lower()}.md"]
    assert results[0].passage.heading.startswith(f"Topic {name}")
    assert results[0].passage.heading == results[0].fields["heading"]


def test_items_of_documents_can_be_asked_for(index):
    """A document and a passage are each got, explained, and searched for what is like them."""
    hit = index.search("a zebra on the savanna", k=1)[0]
    assert index.get(hit.item).text == hit.text
    assert index.get(hit.id).passage.span[0] == 0
    assert index.explain("a zebra on the savanna", hit).id == hit.item
    assert index.explain("a zebra on the savanna", hit.id).id == hit.item
    words = index.explain("a zebra on the savanna", hit).words
    assert max(words, key=lambda word: word.score).text == "zebra"
    assert hit.id not in {each.id for each in index.similar(hit.id, k=9)}
    assert hit.id not in {each.id for each in index.similar(hit.item, k=9)}


def test_the_other_verbs_work_on_passages(index):
    """Copies are of whole documents, and evaluation and map take passages."""
    (group,) = index.duplicates().groups
    assert {member.id for member in group.members} == {"zebra.txt", "twin.txt"}
    assert index.evaluate(sample=20)["recall"] == 1.0
    assert index.search("zebra", k=2).to_arrow().column("start").to_pylist()[0] > 0
    assert "6 texts" in index.build.held
    assert "passages" in index.build.held


@pytest.mark.usefixtures("index")
def test_the_command_line_prints_passages(home):
    """The text output shows the passage, --by lists them, and JSON has text, span, page and heading."""
    run = CliRunner().invoke
    shown = run(cli, ["search", "texts", "a zebra on the savanna", "-k", "1", "--indexes", str(home / "ix")])
    assert "zebra with black and white" in " ".join(shown.output.split())
    asked = [
        "search",
        "texts",
        "a zebra",
        "-k",
        "3",
        "--by",
        "passage",
        "--json",
        "--indexes",
        str(home / "ix"),
    ]
    count = es.open("texts", indexes=home / "ix").manifest.count
    said = run(cli, [each for each in asked if each != "--json"]).stdout
    assert f"texts: 3 of {count:,} passages " in said
    hits = json.loads(run(cli, asked).stdout)["hits"]
    assert [set(hit["passage"]) for hit in hits] == [{"text", "span", "page", "heading"}] * 3
    assert hits[0]["text"] == hits[0]["passage"]["text"]


def test_a_rebuild_embeds_what_is_new_alone(tmp_path, monkeypatch):
    """One document is added, one changed, one removed; the others keep vectors and headings, unopened."""
    indexes, texts = tmp_path / "ix", tmp_path / "texts"
    write(texts)
    for name in ("zebra.txt", "twin.txt"):
        (texts / name).write_text(f"{ZEBRA} {topics['numbers']}")
    for path in texts.iterdir():
        os.utime(path, (0, 10**9))  # the time of a file that was just written is not trusted
    before = es.build(texts, name="texts", indexes=indexes)
    names = [f"{name.lower()}.md" for name in OTHERS]
    (texts / names[0]).unlink()
    (texts / names[1]).write_text("# Other\n\n" + topics["exceptions"] * 2)
    (texts / "new.md").write_text("# New\n\n" + topics["numbers"] * 2)
    opened = []
    usual = Path.open

    def noted(path, *args, **kwargs):
        opened.append(path.name)
        return usual(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", noted)
    after = es.rebuild("texts", indexes=indexes)
    monkeypatch.undo()
    changes = after.manifest.changes
    assert (changes.added, changes.changed, changes.removed) == (1, 1, 1)
    assert sorted(each for each in opened if (texts / each).exists()) == sorted(["new.md", names[1]])
    rows = [each.build.rows_of(names[2]) for each in (before, after)]
    np.testing.assert_array_equal(
        *(each.build.vectors[row] for each, row in zip((before, after), rows, strict=True))
    )
    columns = ["id", "text", "start", "end", "field:heading", "field:title"]
    old, new = (each.build.read(row, columns) for each, row in zip((before, after), rows, strict=True))
    assert old == new
    assert after.search("zebra", k=1)[0].text == before.search("zebra", k=1)[0].text
    assert es.rollback("texts", indexes=indexes).search("zebra", k=9)[0].item
    assert es.open("texts", indexes=indexes).get(names[0]).passage is not None


def test_a_build_embeds_only_what_is_split_otherwise_now(tmp_path, monkeypatch):
    """Where passages are turned on or off, texts that the model reads whole keep their vectors."""
    (long,) = list(OTHERS.values())[:1]
    texts = ["A cat sleeps.", long, ZEBRA]

    def build(passages, of=texts):
        prepared = []
        usual = TextEncoder.prepare

        def noted(encoder, items, role="passage"):
            prepared.extend(getattr(each, "text", each) for each in items)
            return usual(encoder, items, role)

        with monkeypatch.context() as patched:
            patched.setattr(TextEncoder, "prepare", noted)
            made = es.build(of, name="texts", indexes=tmp_path, passages=passages, language="none")
        return made, [text for text in texts if text in prepared]

    off, _ = build("off")
    auto, embedded = build("auto")
    assert embedded == [long]
    assert auto.manifest.encoder.fingerprint != off.manifest.encoder.fingerprint
    assert auto.manifest.encoder.fingerprint == auto.encoder.spec.fingerprint
    assert len(auto) > len(off) == auto.answers == 3
    np.testing.assert_array_equal(auto.build.vectors[[0, -1]], off.build.vectors[[0, -1]])
    again, embedded = build("off")
    assert embedded == [long]
    assert again.build.items.equals(off.build.items)
    short = build("off", of=[texts[0], ZEBRA])[0]
    after, embedded = build("auto", of=[texts[0], ZEBRA])
    assert embedded == []
    np.testing.assert_array_equal(after.build.vectors, short.build.vectors)
    assert es.open("texts", indexes=tmp_path).search("a zebra", k=1)[0].text == ZEBRA


def test_an_interrupted_run_is_resumed(tmp_path, monkeypatch):
    """After an interruption the passages that were embedded are kept, and the build is as an unbroken one."""
    read_ahead(monkeypatch, 1)
    done, begun = [], []
    texts = [*OTHERS.values(), "A cat sleeps.", ZEBRA]

    class Interrupted:
        def start(self, encoder, total, already):  # noqa: ARG002
            begun.append(already)

        def spent(self, waiting, computing): ...
        def stage(self, text, total=None): ...
        def advance(self, entries):
            done.append(entries)
            if sum(done) == 3:  # of five
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        es.build(texts, name="texts", indexes=tmp_path, progress=Interrupted())
    assert not (tmp_path / "texts" / "current").exists()
    done[:] = [100]
    resumed = es.build(texts, name="texts", indexes=tmp_path, progress=Interrupted())
    assert begun[0] == 0 < begun[1]
    whole = es.build(texts, name="whole", indexes=tmp_path)
    assert resumed.build.items.equals(whole.build.items)
    assert least_cosine(resumed.build.vectors, whole.build.vectors) > 0.999


def test_a_document_of_ten_pages_is_found_by_a_question_about_any_page(shared_data, tmp_path):
    """Of 24 documents of ten pages, the one that answers a question is the first for 9 questions of 10.

    Among 1,000 others it is, too: `python -m tests.benchmarks.passages`.
    """
    folder = shared_data / "text" / "xquad_en"
    corpus, asked = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    pages = {page["_id"]: at for at, page in enumerate(corpus)}
    documents = [
        {"id": str(at), "text": "\n\f\n".join(page["text"] for page in corpus[10 * at : 10 * at + 10])}
        for at in range(len(corpus) // 10)
    ]
    assert len(documents) == 24
    found = es.build(documents, name="pages", text="text", id="id", indexes=tmp_path)
    questions = [each for each in asked if each["positive"] in pages][::11][:100]
    hits = found.search([each["text"] for each in questions], k=1)
    right = [
        int(hit[0].id) == pages[each["positive"]] // 10 for hit, each in zip(hits, questions, strict=True)
    ]
    assert len(right) == 100
    assert sum(right) >= 90
