"""Indexes that 0.6.0 made, kept as they were: every later version opens them and answers the same.

No query here needs a model: they ask by items, by ready vectors and by parts made of items.
`expected.json` holds what 0.6.0 answered. Hits lie farther apart than processors differ in their last digits.
"""

import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import embedsearch as es
from embedsearch.distances.verdict import FOREIGN_RATE

HERE = Path(__file__).with_name("made_by_0_6_0")
EXPECTED: dict[str, dict[str, Any]] = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
CASES = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name, made in EXPECTED.items()
    for number, case in enumerate(made["cases"])
]


def digits(value: Any) -> Any:
    """Equal up to the digits in which processors differ."""
    return pytest.approx(value, rel=1e-6, abs=1e-6)


def as_query(told: dict[str, Any]) -> Any:
    """The query that a case of `expected.json` asks."""
    if "like" in told:
        return es.MoreLike(told["like"])
    if "vector" in told:
        return told["vector"]
    return es.Query(tuple(es.WeightedTerm(as_query(part), weight) for part, weight in told["parts"]))


def label(hit: es.Hit) -> str:
    """The label that a hit's percentile has; these indexes hold hardly a pair of copies."""
    if hit.distance == digits(0):
        return "the same"
    ends = {99.95: "very similar", 99.75: "similar", 99.0: "related", 90.0: "loosely related"}
    return next((name for end, name in ends.items() if hit.percentile >= end), "unrelated")


def as_json(value: Any) -> Any:
    """A field's value as `expected.json` holds it: dates and times as text."""
    return value.isoformat() if isinstance(value, date) else value


@pytest.fixture(scope="module")
def indexes(tmp_path_factory) -> Path:
    """A folder with all of them."""
    folder = tmp_path_factory.mktemp("made-by-0.6.0")
    for name in EXPECTED:
        with zipfile.ZipFile(HERE / f"{name}.zip") as archive:
            archive.extractall(folder)
    return folder


@pytest.mark.parametrize(("name", "case"), CASES)
def test_an_index_made_by_0_6_0_answers_the_same(indexes, name, case):
    """An index of 0.6.0 gives the same hits at the same distances and percentiles.

    Labels and verdicts are by the rules of today. A label rests on the percentile alone, and there is none
    under 200 items; there is no verdict for words, nor under a filter, as 0.6.0 did not measure with filters.
    What more than 10 percent of unrelated queries reach is not close since 0.9; 0.6.0 took 17 percent.
    """
    found = es.open(name, indexes=indexes).search(as_query(case["query"]), k=case["k"], where=case["where"])
    wanted = case["hits"]
    assert [hit.id for hit in found] == [hit["id"] for hit in wanted]
    assert [hit.rank for hit in found] == list(range(1, len(wanted) + 1))
    assert [hit.distance for hit in found] == digits([hit["distance"] for hit in wanted])
    if any(weight < 0 for _, weight in case["query"].get("parts", ())):
        # since 0.7 a difference is not judged
        assert (found.verdict, {hit.label for hit in found}) == (None, {None})
        assert "subtracts" in found.reason
        return
    # a percentile is a hundred times a share that rises steeply where pairs are dense
    assert [hit.percentile for hit in found] == pytest.approx([hit["percentile"] for hit in wanted], abs=1e-2)
    judged = not case["where"] and name not in ("words", "tokens")
    far = case["foreign_rate"] is not None and case["foreign_rate"] > FOREIGN_RATE
    verdict = "nothing_close" if far else case["verdict"]
    assert found.verdict == (verdict if judged else None)
    assert found.foreign_rate == (digits(case["foreign_rate"]) if judged and found.verdict else None)
    few = EXPECTED[name]["count"] < 200
    labels = [None if few else label(hit) for hit in found]
    nothing = found.verdict == "nothing_close"
    assert [hit.label for hit in found] == ["not close" if each and nothing else each for each in labels]


@pytest.mark.parametrize("name", EXPECTED)
def test_an_index_made_by_0_6_0_holds_the_same_items(indexes, name):
    """An index of 0.6.0 gives its items with their texts, spans and fields, of the types they had."""
    made = EXPECTED[name]
    ix = es.open(name, indexes=indexes)
    assert len(ix) == made["count"]
    for item in made["items"]:
        around = ix.search(es.MoreLike(item["id"]), k=1)[0].id  # an item is not among its own hits
        hits = {hit.id: hit for hit in ix.search(es.MoreLike(around), k=made["count"])}
        hit = hits[item["id"]]
        assert (hit.modality, hit.text, hit.path) == (item["modality"], item["text"], item["path"])
        assert hit.span == (tuple(item["span"]) if item["span"] else None)
        assert {key: as_json(value) for key, value in hit.fields.items()} == item["fields"]


def test_fields_of_0_6_0_keep_their_types(indexes):
    """Dates, times, truth values, numbers and what is missing come back as Python's own."""
    hits = es.open("text", indexes=indexes).search(es.MoreLike("q-00"), k=46)
    fields = next(hit.fields for hit in hits if hit.id == "q-04")
    kinds = {name: type(value).__name__ for name, value in fields.items()}
    assert kinds == {
        "topic": "str",
        "year": "int",
        "price": "float",
        "asked": "date",
        "seen": "datetime",
        "urgent": "bool",
        "note": "str",
    }
    assert next(hit.fields["asked"] for hit in hits if hit.id == "q-03") is None


@pytest.mark.parametrize("name", EXPECTED)
def test_every_file_of_an_index_of_0_6_0_has_its_checksum(indexes, name):
    """An index of 0.6.0 is verified whole."""
    from click.testing import CliRunner

    from embedsearch.cli import cli

    told = CliRunner().invoke(cli, ["verify", name, "--indexes", str(indexes), "--json"])
    assert told.exit_code == 0
    builds = json.loads(told.stdout)["builds"]
    assert len(builds) == 1
    assert not builds[0]["error"]
