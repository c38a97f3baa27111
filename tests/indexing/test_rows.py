"""Rows of tables: built, rebuilt, asked and explained through the public functions. No model is loaded."""

import json
import shutil
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.distances.metric import distances
from embedsearch.errors import EmbedsearchError, QueryError, RecipeError, SourceError
from embedsearch.store.manifest import COLUMNS

draw = np.random.default_rng(7)
PEOPLE = [
    {
        "id": f"p{at}",
        "price": round(float(draw.lognormal(3, 0.5)), 2),
        "colour": ["red", "green", "blue"][int(draw.integers(3))],
        "born": date(2000 + int(draw.integers(20)), 1 + int(draw.integers(12)), 3),
        "smokes": bool(draw.integers(2)),
    }
    for at in range(240)
]


def write(folder, rows, name="people.csv"):
    """Write rows as CSV, JSON Lines or Parquet, by the name's ending; return the file."""
    path, names = folder / name, list(dict.fromkeys(key for row in rows for key in row))
    if name.endswith(".csv"):
        lines = [",".join("" if row.get(n) is None else str(row[n]) for n in names) for row in rows]
        path.write_text("\n".join([",".join(names), *lines]), encoding="utf-8")
    elif name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(row, default=str) for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def build(source, folder, **options):
    """Build an index of the rows of a source."""
    return es.build(source, name="people", rows=True, indexes=folder / "indexes", **{"id": "id", **options})


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """An index of the table as CSV, `price` counted twice."""
    folder = tmp_path_factory.mktemp("people")
    return build(write(folder, PEOPLE), folder, weights={"price": 2})


@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.parquet", "a list", "a data frame"])
def test_every_kind_of_table_gives_the_same_vectors(people, tmp_path, name):
    """Files, dicts and a data frame; all columns but the key count and are fields."""
    if name == "a data frame":
        source = pytest.importorskip("pandas").DataFrame(PEOPLE)
    else:
        source = PEOPLE if name == "a list" else write(tmp_path, PEOPLE, name)
    index = build(source, tmp_path, weights=["price=2"])
    assert np.array_equal(index.build.vectors, people.build.vectors)
    assert index.manifest.metric == "l2"
    assert [column.name for column in index.queries.learnt.columns] == ["price", "colour", "born", "smokes"]
    assert index.get("p3").fields == {name: value for name, value in PEOPLE[3].items() if name != "id"}
    assert index.get("p3").text is None


def test_rows_like_this_one(people):
    """The nearest rows are those of the least sum over columns; the row itself is left out."""
    vectors = people.build.take(np.arange(len(people)))
    apart = distances(vectors[5:6], vectors, es.Metric.L2)[0]
    nearest = [f"p{row}" for row in np.argsort(apart, kind="stable") if row != 5][:5]
    results = people.similar("p5", k=5)
    assert [hit.id for hit in results] == nearest
    assert results.verdict is None
    assert results.reason.startswith("There is no verdict for rows")
    assert all(hit.percentile is not None for hit in results)


def test_columns_that_a_query_lacks_do_not_count(people):
    """Only the named columns are compared, and the note says so; filters hold."""
    results = people.search({"price": 20, "colour": "red"}, k=10, where="smokes = true")
    assert results.note.endswith("Compared by price and colour alone.")
    red = [row for row in PEOPLE if row["colour"] == "red" and row["smokes"]]
    nearest = sorted(red, key=lambda row: abs(row["price"] - 20))
    assert [hit.id for hit in results] == [row["id"] for row in nearest[:10]]
    whole = {name: value for name, value in PEOPLE[8].items() if name != "id"}
    assert people.search(whole, k=1)[0].distance == pytest.approx(0, abs=1e-6)
    assert people.search(es.Row.of("price=20 colour=red"), k=10, where="smokes = true").hits == results.hits


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            {"prize": 3},
            "not compared by the column 'prize'; there are price, colour, born, smokes. Did you mean",
        ),
        ({"price": "abc"}, "The column 'price' takes a number; got 'abc'."),
        ({"price": float("inf")}, "a number that is not finite"),
        ({}, "A row is a dict of values by column"),
        ("price", "holds rows .* search it with values of columns, as in price=20 colour=red"),
    ],
)
def test_a_query_that_fits_no_column_is_refused(people, query, message):
    """The message says which columns there are, and what they take."""
    with pytest.raises(QueryError, match=message):
        people.search(query)


@pytest.mark.parametrize("text", ["price", "=3", 'name="x', ""])
def test_a_row_that_cannot_be_read_is_refused(text):
    """A typed row is `column=value`, with quotes that are closed."""
    with pytest.raises(QueryError, match=r"names no column|not closed|The row is empty: give"):
        es.Row.of(text)


def test_a_typed_row_has_each_column_once():
    """Of two values of one column none is dropped in silence."""
    with pytest.raises(QueryError, match="the column 'price' twice"):
        es.Row.of("price=20 colour=red price=30")


def test_options_that_contradict_rows_are_refused(tmp_path):
    """Spans are of texts, weights of rows: the message says which to leave out."""
    table = write(tmp_path, PEOPLE[:3])
    with pytest.raises(EmbedsearchError, match="--rows takes columns as they are, and --spans was given"):
        build(table, tmp_path, spans="colour")
    with pytest.raises(EmbedsearchError, match="--weight is of the columns of rows"):
        es.build(table, name="t", text="colour", weights={"price": 2}, indexes=tmp_path)
    vectors = tmp_path / "v.npy"
    np.save(vectors, np.eye(3))
    with pytest.raises(EmbedsearchError, match="--spans names the labelled spans of texts"):
        es.build(vectors, name="v", spans="colour", indexes=tmp_path)


def test_info_asks_for_no_unrelated_rows(people):
    """Rows never get a verdict, and info does not say how to get one."""
    from embedsearch.cli.calibrate import background_of

    said = background_of(people.manifest, people.manifest.artifacts.scale, people.build.scale)
    assert said == "there is no verdict for rows: no rows are known that do not belong to the table"


def test_a_row_is_typed_and_read_again():
    """Quotes hold values with spaces, nothing behind the sign is a missing value."""
    row = es.Row.of('price=20 name="Rosa Luxemburg" colour=')
    assert row.values == {"price": "20", "name": "Rosa Luxemburg", "colour": None}
    assert es.Row.of(str(row)).values == row.values


@pytest.mark.parametrize("query", [es.MoreLike("p5"), {"price": 20, "colour": "red"}, {"born": "2010-05-01"}])
def test_why_is_a_sum_over_columns(people, query):
    """The parts of the columns that count add up to the squared distance; the nearer ones come first."""
    hit = people.search(query, k=3)[2]
    made = people.explain(query, hit)
    names = {"price", "colour", "born", "smokes"} if isinstance(query, es.MoreLike) else set(query)
    assert {column.name for column in made.columns} == names
    assert sum(column.apart for column in made.columns) == pytest.approx(hit.distance**2, rel=1e-5)
    gains = [column.apart - column.typical for column in made.columns]
    assert gains == sorted(gains)
    held = {column.name: column.held for column in made.columns}
    assert held == {name: str(hit.fields[name]).lower() for name in names}
    typical = {column.name: column.typical for column in made.columns}
    assert typical == pytest.approx({name: 4 if name == "price" else 2 for name in names}, rel=0.02)


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_why_adds_up_with_other_metrics(tmp_path, metric):
    """With unit vectors, halved, for cosine; with negative products for ip."""
    index = build(PEOPLE, tmp_path, metric=metric)
    hit = index.similar("p5", k=2)[1]
    assert index.explain(es.MoreLike("p5"), hit).score == pytest.approx(hit.distance, rel=1e-4, abs=1e-5)


def test_weights_and_columns_say_what_counts(people, tmp_path):
    """A weight is a factor of the squared distance; other columns stay fields."""
    index = build(PEOPLE, tmp_path, columns=["price", "colour"])
    assert [column.name for column in index.queries.learnt.columns] == ["price", "colour"]
    assert index.get("p0").fields["born"] == PEOPLE[0]["born"]
    plain, twice = (ix.search({"price": 20}, k=9)[8].distance for ix in (index, people))
    assert twice == pytest.approx(plain * 2**0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weights": ["price"]}, RecipeError, "'price' is no weight of a column. Write it like price=2"),
        ({"weights": {"price": 0}}, RecipeError, "over 0 and at most"),
        (
            {"weights": {"prize": 2}},
            SourceError,
            "no column 'prize' to weigh; it has price, colour, born, smokes",
        ),
        ({"columns": ["prize"]}, SourceError, "no column 'prize'"),
        ({"text": "colour"}, SourceError, "--rows takes columns as they are, and --text was given"),
        ({"rows": False, "columns": "price"}, SourceError, "give --rows too"),
    ],
)
def test_options_that_contradict_are_refused(tmp_path, options, error, message):
    """The message names the option and what there is; nothing is left behind."""
    with pytest.raises(error, match=message):
        es.build(
            PEOPLE, **{"name": "people", "rows": True, "id": "id", "indexes": tmp_path / "ix", **options}
        )
    assert not list(tmp_path.glob("ix/*/current"))


def test_a_rebuild_embeds_what_is_new_and_keeps_the_rest(tmp_path):
    """One row added, one changed, one removed: two are embedded, and the vectors of the others stay."""
    before = build(write(tmp_path, PEOPLE), tmp_path)
    rows = [*PEOPLE[:9], {**PEOPLE[9], "price": 77.5}, *PEOPLE[11:], {**PEOPLE[0], "id": "new", "price": 5}]
    write(tmp_path, rows)
    found = before.changes()
    assert (found.added, found.changed, found.removed, found.to_embed) == (1, 1, 1, 2)
    after = before.rebuild()
    report, changes = after.manifest.report, after.manifest.changes
    assert (changes.added, changes.changed, changes.removed, report.reused) == (1, 1, 1, 238)
    assert after.manifest.encoder.fingerprint == before.manifest.encoder.fingerprint
    assert np.array_equal(after.build.take(np.array([3])), before.build.take(np.array([3])))
    assert not any("learnt again" in note for note in report.notes)
    assert after.similar("p0", k=300).hits[-1].id not in ("p10", "p0")
    assert after.rebuild().manifest.build == after.manifest.build  # nothing changed


def test_a_rebuild_says_when_it_learns_again(tmp_path):
    """Where a column has moved, everything is embedded again, and the build says which column and how."""
    before = build(write(tmp_path, PEOPLE), tmp_path)
    write(tmp_path, [{**row, "price": row["price"] + 500} for row in PEOPLE])
    assert before.changes().to_embed == len(PEOPLE)
    after = before.rebuild()
    assert after.manifest.report.notes[0] == (
        "The statistics of the columns were computed again: the column 'price' has another median."
    )
    assert (after.manifest.report.reused, after.manifest.report.items) == (0, len(PEOPLE))
    assert after.manifest.encoder.fingerprint != before.manifest.encoder.fingerprint
    assert build(write(tmp_path, PEOPLE), tmp_path, weights={"price": 3}).manifest.report.reused == 0


def test_an_index_of_rows_may_move_and_carries_what_it_learnt(people, tmp_path):
    """Each build has its own file, and the recipe names none: a copy elsewhere answers the same."""
    asked = {"price": 20, "born": "2010-05-01"}
    shutil.copytree(people.build.folder.parents[2], tmp_path / "moved")
    moved = es.open("people", tmp_path / "moved")
    assert moved.search(asked).hits == people.search(asked).hits
    assert COLUMNS in moved.manifest.files
    assert "table" not in (tmp_path / "moved" / "people" / "recipe.toml").read_text(encoding="utf-8")
    mapped = moved.map()
    assert mapped.search(asked).hits == people.search(asked).hits
    assert mapped.rebuild().manifest.build == mapped.manifest.build


@pytest.mark.parametrize("name", ["people.jsonl", "people.csv"])
def test_bad_rows_are_rejected_and_the_rest_is_built(name, tmp_path):
    """Infinite numbers and empty rows are listed; columns that tell nothing are left out and named."""
    rows = [{**row, "nothing": None, "same": 1} for row in PEOPLE[:30]]
    rows[3] |= {"price": float("inf")}
    rows[4] = {"id": "p4"}
    index = build(write(tmp_path, rows, name), tmp_path)
    assert {each["reason"] for each in index.rejected()} == {
        "the column 'price' holds a number that is not finite",
        "all of its columns are empty",
    }
    assert len(index) == 28
    assert "Column 'nothing' holds nothing and is not used." in index.manifest.report.notes


def test_a_table_without_a_column_to_compare_is_refused(tmp_path):
    """Columns that are all missing or constant leave nothing; the message says so of each."""
    with pytest.raises(SourceError, match=r"no column to compare rows by. Column 'a' holds the same value"):
        build([{"id": "1", "a": 5}, {"id": "2", "a": 5}], tmp_path)


def test_diagnostics_say_which_column_dominates(people, tmp_path):
    """The share of each column in the squared distance of random pairs is that of its weight."""
    columns = people.diagnostics()["columns"]
    assert {each["name"]: each["share"] for each in columns} == pytest.approx(
        {"price": 0.4, "colour": 0.2, "born": 0.2, "smokes": 0.2}, abs=0.01
    )
    heavy = build(PEOPLE, tmp_path, weights={"born": 9})
    result = CliRunner().invoke(
        cli, ["info", "people", "--diagnostics", "--indexes", str(heavy.build.folder.parents[2])]
    )
    assert "born dominates. To change that, build with --weight born=NUMBER below 1." in result.output


def test_the_command_line_asks_and_explains(people):
    """A typed row, quoted as a whole or in parts; an item; and why, column by column."""
    indexes = ["--indexes", str(people.build.folder.parents[2])]
    printed = [
        CliRunner().invoke(cli, ["search", "people", *asked, "-k", "2", *indexes])
        for asked in (["price=20 colour=red"], ["price=20", "colour=red"])
    ]
    assert [result.exit_code for result in printed] == [0, 0]
    assert printed[0].output == printed[1].output
    assert "Compared by price and colour alone." in printed[0].output
    first = people.search({"price": 20, "colour": "red"}, k=1)[0]
    assert f"price {first.fields['price']} | colour red" in printed[0].output
    assert f"id {first.id}" in printed[0].output
    item = CliRunner().invoke(cli, ["search", "people", "--item", "p5", "-k", "1", "--json", *indexes])
    assert json.loads(item.output)["hits"][0]["id"] == people.similar("p5", k=1)[0].id
    made = CliRunner().invoke(cli, ["explain", "people", "price=20", "colour=red", first.id, *indexes])
    assert made.output.splitlines()[1].split() == ["apart", "random", "rows", "column", "query", "item"]
    assert made.output.splitlines()[2].split()[2:4] == ["price", "20"]
    explained = CliRunner().invoke(cli, ["explain", "people", "price=20", first.id, "--json", *indexes])
    assert [each["name"] for each in json.loads(explained.output)["columns"]] == ["price"]


def test_a_row_and_an_item_are_asked_together(people):
    """Of several rows in a query the columns that all have count; without any in common it is refused."""
    query = es.Query((es.WeightedTerm(es.Row({"price": 20})), es.WeightedTerm(es.MoreLike("p5"))))
    assert people.search(query).note.startswith("Compared by price alone.")
    apart = es.Query((es.WeightedTerm({"price": 20}), es.WeightedTerm({"colour": "red"})))
    with pytest.raises(QueryError, match="no column in common"):
        people.search(apart)
