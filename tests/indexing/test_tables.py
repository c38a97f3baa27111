"""A table from its file to the fields of a build, which filters ask."""

import pytest

from embedsearch.index import Index
from embedsearch.indexing import shards
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.fakes import LetterEncoder


@pytest.fixture
def make(tmp_path):
    """Build an index from a table of this name and text; return it, opened."""

    def build(name, text, kind, **options):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        recipe = Recipe("t", SourceRecipe(kind, str(path), **options), EncoderRecipe(Unit.TEXT))
        describe = lambda recipe: LetterEncoder(recipe).spec  # noqa: E731
        return Index(build_index(recipe, tmp_path, load=LetterEncoder, describe=describe), LetterEncoder)

    return build


def found(searcher, where):
    """Return the ids that a filter keeps."""
    return {hit.text for hit in searcher.search("fox", 20, where)}


def test_types_are_found_while_rows_are_staged(make, monkeypatch):
    """The last of several shards decides that a column is no whole number, and no rows are read twice."""
    monkeypatch.setattr(shards, "SHARD_VECTORS", 2)
    rows = "".join(f"fox {'abcdefgh'[number]},{number},{number}\n" for number in range(7))
    opened = make("t.csv", f"text,n,m\n{rows}fox h,7.5,x\n", "csv")
    assert {name: str(kind) for name, kind in opened.build.field_types.items()} == {
        "n": "double",
        "m": "string",
    }
    assert found(opened, "n >= 6") == {"fox g", "fox h"}
    assert found(opened, "m = 'x'") == {"fox h"}


def test_a_rebuild_compares_cells_as_they_are_written(make):
    """A late text turns a column of numbers into one of texts, and changes no other row."""
    make("t.csv", "text,n\nfox a,1\nfox b,2\n", "csv")
    opened = make("t.csv", "text,n\nfox a,1\nfox b,2\nfox c,x\n", "csv")
    changes = opened.manifest.changes
    assert (changes.added, changes.changed, changes.unchanged) == (1, 0, 2)
    assert found(opened, "n = '1'") == {"fox a"}
    again = make("t.csv", "text,n\nfox a,1\nfox b,2\nfox c,x\n", "csv")
    assert again.manifest.build == opened.manifest.build


def test_another_way_to_read_a_table_is_a_new_build(make):
    """`--keep-na` alone changes the fields; the index needs no --replace for it."""
    table = "text,country\nfox a,NA\nfox b,DE\n"
    first = make("t.csv", table, "csv")
    assert found(first, "country is null") == {"fox a"}
    assert first.manifest.report.notes == (
        "Column 'country': 1 x NA read as missing. To read it as text, give --keep-na.",
    )
    kept = make("t.csv", table, "csv", keep_na=True)
    assert found(kept, "country = 'NA'") == {"fox a"}
    assert kept.manifest.report.notes == ()


def test_lists_nested_values_and_times_of_json_can_be_asked_for(make):
    """What JSON holds is found by the filters of the guide."""
    opened = make(
        "t.jsonl",
        '{"text": "fox a", "tags": ["sale", "new"], "meta": {"author": "Ada"}, '
        '"when": "2024-03-01T23:30-05:00"}\n'
        '{"text": "fox b", "tags": ["sale"], "meta": {"author": "Bo"}, "when": "2024-03-02T01:00+00:00"}\n'
        '{"text": "fox c", "tags": [], "when": "2024-03-05T00:00Z"}\n',
        "jsonl",
    )
    assert found(opened, "'sale' in tags") == {"fox a", "fox b"}
    assert found(opened, "meta.author like 'A%'") == {"fox a"}
    assert found(opened, "\"when\" > '2024-03-02T02:00:00+00:00'") == {"fox a", "fox c"}
    hit = opened.search("fox", 1, "'new' in tags")[0]
    assert hit.fields["tags"] == ["sale", "new"]
