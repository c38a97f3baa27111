from unicodedata import normalize

import numpy as np
import pytest

from embedsearch.records import Unit
from embedsearch.store import build as module
from embedsearch.store.ids import IDS, Ids, save_ids
from embedsearch.store.manifest import SOURCE_STATE
from embedsearch.store.source_state import ENTRY, hash_of
from tests.fakes import text


def states(*records):
    """Return the source state of records, each the hash of its id and its number of rows."""
    return np.array([(key, 0, 0, 0, 0, 0, rows, 0, 0, 0) for key, rows in records], ENTRY)


def test_records_of_several_rows_and_of_none_keep_their_places(tmp_path):
    """The rows of a record are those behind the rows of all before it; a rejected record has none."""
    records = [(hash_of("a"), 2), (hash_of("rejected"), 0), (hash_of("b"), 1), (hash_of("c"), 3)]
    np.save(tmp_path / SOURCE_STATE, states(*records))
    save_ids(tmp_path)
    ids = Ids(tmp_path)
    found = {name: ids.rows(name) for name in ("a", "b", "c", "rejected", "unknown")}
    assert found == {"a": [range(2)], "b": [range(2, 3)], "c": [range(3, 6)], "rejected": [], "unknown": []}


def test_two_ids_of_one_hash_are_both_looked_at(tmp_path):
    """Where two records share a hash, the rows of both come, in the order of the source."""
    np.save(tmp_path / SOURCE_STATE, states((hash_of("a"), 1), (5, 4), (hash_of("a"), 2)))
    assert Ids(tmp_path).rows("a") == [range(1), range(5, 7)]


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
@pytest.mark.parametrize("made_by", ["now", "0.6"])
def test_every_id_finds_its_row(make_build, unit, made_by):
    """Each item is found by its id, in a build of 0.6, which has no sorted ids, too; other ids are not."""
    entries = [text("a", "red fox"), text("a#4", "a den"), text("#", "one dog"), text("über", "fox")]
    build = make_build(entries, unit=unit)
    if made_by == "0.6":
        (build.folder / IDS).unlink()
    identities = build.items["id"].to_pylist()
    assert [build.row_of(each) for each in identities] == list(range(len(identities)))
    for wrong in ("", "b", "a#1", "red", "a#4#9", "a\udcff", "a#\udcff"):
        assert build.row_of(wrong) is None


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
def test_an_id_is_found_in_each_of_its_unicode_forms(make_build, unit, form):
    """A file name of a Mac is decomposed; typed composed, it is the same id, of a word in it too."""
    named = normalize(form, "Zürich.txt")
    build = make_build([text("a", "red fox"), text(named, "a den")], unit=unit)
    row, part = (1, "") if unit is Unit.TEXT else (2, "#0")
    for typed in ("NFC", "NFD"):
        assert build.row_of(normalize(typed, "Zürich.txt") + part) == row


def test_an_id_is_looked_up_and_not_searched_for(make_build, monkeypatch):
    """Only the rows of the one record are compared with an id, however many items there are."""
    build = make_build([text(str(number), "fox") for number in range(300)])
    compared = []
    index = module.pc.index

    def counted(column, value):
        compared.append(len(column))
        return index(column, value)

    monkeypatch.setattr(module.pc, "index", counted)
    assert build.row_of("217") == 217
    assert build.row_of("missing") is None
    assert compared == [1]
