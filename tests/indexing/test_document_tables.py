"""Tables with a column of paths of documents: each file is split, found by its page, and rebuilt."""

import json
import os
from datetime import date
from pydoc_data.topics import topics

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embedsearch as es
from embedsearch.errors import SourceError
from tests.sources import papers

ZEBRA = "A zebra with black and white stripes grazes on the savanna."
LONG = "\n\n".join(text for text in topics.values() if 3000 < len(text) < 9000)[:6000]
FRONT = "---\ntitle: Wild animals\nauthor: [Ada, Grace]\ndate: 2026-03-04\n---\n"
NOTE = f"{FRONT}# Talk\n\n{LONG}\n\n# Beasts\n\n{ZEBRA}\n"
ROWS = [
    {"file": "papers/birds.pdf", "topic": "birds", "year": 2024},
    {"file": "note.md", "topic": "beasts", "year": 2025},
    {"file": "gone.pdf", "topic": "none", "year": 1},
    {"file": "locked.pdf", "topic": "none", "year": 2},
    {"file": "table.xlsx", "topic": "none", "year": 3},
    {"file": "", "topic": "none", "year": 4},
]


def write(folder):
    """Write two documents that can be read, and three files that can't be used."""
    (folder / "papers").mkdir(parents=True)
    pages = [["# Birds", "A wren sings in the hedge."], ["An owl hunts mice at night."]]
    (folder / "papers" / "birds.pdf").write_bytes(papers.pdf(pages, "Of birds", "Ada"))
    (folder / "note.md").write_text(NOTE)
    (folder / "locked.pdf").write_bytes(papers.LOCKED)
    (folder / "table.xlsx").write_bytes(b"PK")
    for path in folder.rglob("*.*"):
        os.utime(path, (0, 10**9))  # the time of a file that was just written is not trusted


def table_of(folder, kind):
    """Write the table of the documents beside them."""
    path = folder / f"list.{kind}"
    if kind == "csv":
        lines = ["file,topic,year", *(",".join(map(str, row.values())) for row in ROWS)]
        path.write_text("\n".join(lines))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_of_paths_is_read_as_documents(tmp_path, kind):
    """Each row is a document, with passages, page, what it says of itself and the other columns as fields."""
    write(tmp_path)
    table = table_of(tmp_path, kind)
    index = es.build(table, name="t", document="file", max_rejected=0.9, indexes=tmp_path / "ix")
    assert (index.answers, len(index) > 3) == (2, True)
    hit = index.search("a zebra on the savanna", k=1)[0]
    assert (hit.id, hit.path) == ("note.md", str(tmp_path / "note.md"))
    assert ZEBRA in hit.passage.text
    fields = {name: hit.fields[name] for name in ("topic", "year", "title", "author", "date", "heading")}
    assert fields == {
        "topic": "beasts",
        "year": 2025,
        "title": "Wild animals",
        "author": "Ada, Grace",
        "date": date(2026, 3, 4),
        "heading": "Beasts",
    }
    assert "Wild animals" not in index.get("note.md").text
    (bird,) = index.search("what does an owl do", k=1, where="year = 2024")
    assert (bird.id, bird.fields["title"], bird.fields["page"]) == ("papers/birds.pdf", "Of birds", 1)
    reasons = sorted(each["reason"].split(":")[0] for each in index.build.rejected())
    assert reasons == [
        "it is protected by a password",
        "the document column 'file' is empty",
        "the file table.xlsx is no document that can be read",
        f"there is no file {tmp_path / 'gone.pdf'}",
    ]


def test_a_rebuild_reads_the_documents_that_changed_alone(tmp_path):
    """A changed file of a row is embedded again, and a row that is new; the others keep their vectors."""
    write(tmp_path)
    path = table_of(tmp_path, "jsonl")
    before = es.build(path, name="t", document="file", max_rejected=0.9, indexes=tmp_path / "ix")
    (tmp_path / "note.md").write_text("# Cooking\n\nStir the soup.")
    (tmp_path / "new.txt").write_text("A train leaves at nine.")
    path.write_text(path.read_text() + "\n" + json.dumps({"file": "new.txt", "topic": "trains", "year": 5}))
    after = es.rebuild("t", indexes=tmp_path / "ix")
    changes = after.manifest.changes
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (1, 1, 0, 1)
    assert after.search("zebra", k=1)[0].id != "note.md" or after.get("note.md").text.startswith("# Cooking")
    assert after.search("when does the train leave", k=1)[0].id == "new.txt"
    assert before.manifest.encoder.fingerprint == after.manifest.encoder.fingerprint


def test_documents_of_a_list_in_memory(tmp_path):
    """A list of dicts names documents, too; two contents for one record are refused."""
    write(tmp_path)
    rows = [{"id": str(at), "file": str(tmp_path / each["file"])} for at, each in enumerate(ROWS[:2])]
    index = es.build(rows, name="m", document="file", id="id", indexes=tmp_path / "ix")
    assert index.search("zebra", k=1)[0].id == "1"
    with pytest.raises(SourceError, match="--text and --document were given"):
        es.build(rows, name="n", document="file", text="id", indexes=tmp_path / "ix")
