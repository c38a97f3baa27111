"""Filters by field: which fields are offered, and what a choice keeps."""

from datetime import date, datetime
from unicodedata import normalize

import pyarrow as pa
import pytest

from embedsearch.errors import FilterError
from embedsearch.search.filters import MAX_CHARACTERS, as_filter, parse
from embedsearch.store.items import FIELD
from embedsearch.ui.widgets.filters import (
    Choice,
    Dates,
    Range,
    condition,
    days,
    ends,
    find_facets,
    tally,
    written,
)

ODD = """it's "odd" \\ %_ -- ; 日本"""


def table(**columns):
    """A table of items with these fields, and the types of the fields."""
    items = pa.table({FIELD + name: values for name, values in columns.items()})
    return items, {name: items.schema.field(FIELD + name).type for name in columns}


def test_fields_of_few_values_and_of_numbers_can_be_chosen_by():
    """Few different texts and truth values make a list, numbers a range; the rest is left to conditions."""
    items, types = table(
        label=["a", "b", "a", None] * 10,
        id=[str(n) for n in range(40)],
        on=[True, False, None, True] * 10,
        one=["x"] * 40,
        n=range(40),
        price=[float("nan"), 0.5, 12.37, float("inf")] * 10,
        same=[7] * 40,
        huge=[2**62] * 39 + [0],
        long=["y" * 500, "z"] * 20,
        empty=pa.nulls(40, pa.float64()),
    )
    facets = {facet.field: facet for facet in find_facets(items, types)}
    assert set(facets) == {"label", "on", "n", "price"}
    assert facets["label"] == Choice("label", {"a": 20, "b": 10}, False)
    assert facets["on"] == Choice("on", {"false": 10, "true": 20}, True)
    assert (facets["n"].low, facets["n"].high, facets["n"].whole) == (0, 39, True)
    assert facets["price"].low <= 0.5
    assert 12.37 <= facets["price"].high < 12.6


def test_one_letter_in_two_forms_is_one_choice():
    """Composed and decomposed labels are one option, which keeps the items of both."""
    both = [normalize(form, "Zürich") for form in ("NFC", "NFD")]
    items, types = table(city=[*both, "Bern", "Bern"] * 5)
    facets = find_facets(items, types)
    assert facets == (Choice("city", {"Bern": 10, both[0]: 10}, False),)
    for city in both:
        assert as_filter(condition(facets, {"city": [city]}), items, types).count == 10


def test_a_condition_that_needs_quotes_says_so():
    """The fields of the index are known to the box of conditions."""
    with pytest.raises(FilterError, match='needs double quotes: "when"'):
        condition((), {}, "when > 5", ["when"])


@pytest.mark.parametrize("name", ["label", 'a "quoted" name', "with space", "select", "a.b", "größe"])
def test_a_choice_keeps_exactly_its_items(name):
    """Whatever quotes a field or a value holds, the filter made of a choice keeps its items and no others."""
    values = [ODD, "plain", ODD, "plain", "'", "'"]
    items, types = table(**{name: values}, n=range(6))
    facets = find_facets(items, types)
    for value in (ODD, "plain", "'"):
        mask = as_filter(condition(facets, {name: [value]}, ""), items, types).mask
        assert mask.tolist() == [each == value for each in values]


def test_choices_ranges_and_a_condition_hold_together():
    """All that was chosen holds at once, whatever OR or comment the written condition has."""
    items, types = table(label=["a", "b"] * 10, n=range(20), x=[each / 8 for each in range(20)])
    facets = find_facets(items, types)
    picked = {"label": ["a", "nope"], "n": ["4..15"], "x": ["0.5..1.75"]}
    filtered = condition(facets, picked, "n = 1 or n >= 8 -- all of it")
    kept = [8, 10, 12, 14]  # the even ones of 4 to 14, of which the condition keeps these
    assert as_filter(filtered, items, types).mask.nonzero()[0].tolist() == kept
    assert condition(facets, {"n": ["0..19"], "label": []}, " ") is None
    with pytest.raises(FilterError, match="'n ='"):
        condition(facets, picked, "n =")


def test_only_what_a_person_wrote_is_counted():
    """A condition as long as one may be passes beside whatever was picked; one character more does not."""
    items, types = table(label=["a", "b"] * 10, n=range(20))
    facets = find_facets(items, types)
    longest = "n >= 8".ljust(MAX_CHARACTERS)
    for picked, kept in (({}, 12), ({"label": ["a"]}, 6)):
        assert as_filter(condition(facets, picked, longest), items, types).count == kept
    with pytest.raises(FilterError, match="has 4,001 characters"):
        condition(facets, {"label": ["a"]}, longest + " ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3..10", (3, 10)),
        ("-99..10", (0, 10)),
        ("5..1e400", (5, 39)),
        ("10..3", (0, 39)),
        ("nan..3", (0, 39)),
        ("x..y", (0, 39)),
        ("", (0, 39)),
        ("50..60", (0, 39)),
    ],
)
def test_a_range_in_an_address_is_held_to_the_field(text, expected):
    """A range that makes no sense asks for all; one that sticks out is cut."""
    assert ends(Range("n", 0, 39, 1, True), [text]) == expected


def test_a_range_of_days_keeps_whole_days():
    """The last day counts to its end where a field has times; days beyond the field are cut."""
    times = [datetime(2024, 1, day, 23, 30) for day in range(1, 11)]
    items, types = table(at=times, on=[each.date() for each in times])
    facets = find_facets(items, types)
    assert facets == tuple(Dates(name, date(2024, 1, 1), date(2024, 1, 10)) for name in ("at", "on"))
    for name in ("at", "on"):
        kept = as_filter(condition(facets, {name: ["2024-01-03..2024-01-05"]}), items, types).mask
        assert kept.nonzero()[0].tolist() == [2, 3, 4]
        assert condition(facets, {name: ["2023-01-01..2025-01-01"]}) is None
        assert condition(facets, {name: ["x..2024-01-03"]}) is None
    assert days(facets[0], ["2024-01-05..2024-01-02"]) == (date(2024, 1, 1), date(2024, 1, 10))


def test_a_filter_is_written_as_a_person_would():
    """Read back, it is the filter of what was picked, whatever quotes a name or a value has."""
    facets = (
        Choice('a "quoted" when', {ODD: 1, "b": 2}, False),
        Choice("on", {"false": 1, "true": 1}, True),
        Range("n", 0, 9, 1, True),
        Dates("at", date(2024, 1, 1), date(2024, 2, 1)),
    )
    fields = [facet.field for facet in facets]
    picked = {
        'a "quoted" when': [ODD, "b"], "on": ["true"], "n": ["2..5"], "at": ["2024-01-03..2024-01-04"],
    }  # fmt: skip
    for where in ("", "n > 1 or n < 0"):
        text = written(facets, picked, where)
        assert parse(text, fields) == condition(facets, picked, where, fields)
    assert written(facets, {}, " n > 1 ") == "n > 1"
    assert written(facets, {}) == ""


def test_counts_are_of_options():
    """Truth values and letters in two forms count for their option; what is no option does not count."""
    counted = tally(Choice("on", {"false": 3, "true": 3}, True), [(True, 2), (None, 5)])
    assert counted == {"false": 0, "true": 2}
    both = [normalize(form, "Zürich") for form in ("NFC", "NFD")]
    assert tally(Choice("city", {both[0]: 9}, False), [(both[0], 1), (both[1], 2), ("x", 3)]) == {both[0]: 3}
