from datetime import UTC, date, datetime
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pytest

from embedsearch.errors import FilterError
from embedsearch.query import Both, Compare, Either, In, IsNull, Not
from embedsearch.search.filters import as_filter, parse
from embedsearch.store.items import FIELD

COLUMNS = {
    "label": ["dress", "hat", None, "it's", "Größe 日本"],
    "price": [10, 40, 25, None, -3],
    "weight": [0.5, 1.0, None, 2.25, 1e10],
    "sold": [True, False, None, True, False],
    "day": [date(2024, 1, 1), date(2024, 5, 17), None, date(2023, 12, 31), date(2025, 1, 1)],
    "at": [
        datetime(2024, 1, 1, 8),
        datetime(2024, 1, 1, 9),
        None,
        datetime(2023, 1, 1),
        datetime(2025, 1, 1),
    ],
    "utc": [datetime(2024, 1, 1, 8, tzinfo=UTC), None, None, None, datetime(2024, 1, 1, 10, tzinfo=UTC)],
    "a column.with parts": ["x", "y", None, "x", ""],
    "größe": [1, 2, 3, 4, 5],
    "meta.lang": ["en", "de", "en", None, "fr"],
    "order": [1, 2, 3, 4, 5],
    'say "hi"': ["a", "b", "c", "d", "e"],
    "tags": [["sale", "shoes"], ["sale"], [], None, ["new", "it's"]],
    "sizes": [[1, 2], [], None, [2], [3]],
    "city": [normalize("NFC", "Zürich"), normalize("NFD", "Zürich"), None, "Bern", "zürich"],
    "when": [date(2024, 1, 1), date(2024, 5, 17), None, None, None],
    "unit-price": [1, 2, 3, 4, 5],
}
OWN = {
    "id": ["a.png", "sub/b.png", "Ü.png", "d.png", "e.png"],
    "text": ["one", "two", None, "three", "four"],
    "path": ["/x/a.png", "/x/sub/b.png", "/x/Ü.png", None, "/x/e.png"],
}
TABLE = pa.table(OWN | {FIELD + name: values for name, values in COLUMNS.items()})
TYPES = {name: TABLE[FIELD + name].type for name in COLUMNS}


def kept(where, table=TABLE):
    """Return the row numbers that a filter keeps."""
    mask = as_filter(where, table, TYPES).mask
    assert mask.dtype == np.bool_
    assert mask.shape == (len(table),)
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("label = 'dress'", [0]),
        ("'dress' = label", [0]),
        ("label != 'dress'", [1, 3, 4]),
        ("label <> 'dress'", [1, 3, 4]),
        ("price < 25", [0, 4]),
        ("price <= 25", [0, 2, 4]),
        ("price > 25", [1]),
        ("price >= 25", [1, 2]),
        ("25 < price", [1]),
        ("25 >= price", [0, 2, 4]),
        ("price = -3", [4]),
        ("price < 10.5", [0, 4]),
        ("price = 1e1", [0]),
        ("weight = 1", [1]),
        ("weight > .5", [1, 3, 4]),
        ("price in (10, 25, 99)", [0, 2]),
        ("label in ('hat')", [1]),
        ("price not in (10, 25)", [1, 4]),
        ("price between 10 and 25", [0, 2]),
        ("price not between 10 and 25", [1, 4]),
        ("label between 'd' and 'h'", [0]),
        ("sold", [0, 3]),
        ("not sold", [1, 4]),
        ("sold = true", [0, 3]),
        ("sold = FALSE", [1, 4]),
        ("label is null", [2]),
        ("label is not null", [0, 1, 3, 4]),
        ("not label is null", [0, 1, 3, 4]),
        ("price < 25 and sold", [0]),
        ("price < 25 or sold", [0, 3, 4]),
        ("label = 'hat' or label = 'dress' and price > 10", [1]),
        ("(label = 'hat' or label = 'dress') and price > 10", [1]),
        ("(label = 'hat' or label = 'dress') and price < 40", [0]),
        ("not (price < 25 and sold)", [1, 2, 4]),
        ("NOT NOT sold", [0, 3]),
    ],
)
def test_each_construct_keeps_exactly_its_rows(where, rows):
    """Comparisons, lists, ranges, truth values, missing values and their combinations."""
    assert kept(where) == rows


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("price < 25 or price >= 25", [0, 1, 2, 4]),
        ("price != 10", [1, 2, 4]),
        ("not price = 10", [1, 2, 4]),
        ("not (price = 10 or sold)", [1, 4]),
        ("sold or label is null", [0, 2, 3]),
        ("price > 0 or label = 'it''s'", [0, 1, 2, 3]),
        ("price is null and sold", [3]),
    ],
)
def test_a_comparison_with_nothing_is_neither_true_nor_false(where, rows):
    """As in SQL a missing value keeps nothing, negated or not; `or` still sees its other side."""
    assert kept(where) == rows


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("label = 'it''s'", [3]),
        ("label = 'Größe 日本'", [4]),
        ("größe = 3", [2]),
        ("\"a column.with parts\" = 'x'", [0, 3]),
        ("\"a column.with parts\" = ''", [4]),
        ("meta.lang = 'en'", [0, 2]),
        ("\"meta.lang\" = 'en'", [0, 2]),
        ('"say ""hi""" = \'b\'', [1]),
        ("order >= 4", [3, 4]),
        ("label = 'x' or \"label\" = 'hat'", [1]),
        ("label = 'a\\nb' or label = '-- hat' or label = '/* hat' or label = 'hat'", [1]),
    ],
)
def test_names_and_texts_are_quoted_as_in_sql(where, rows):
    """Double quotes around names with spaces or dots, single ones around texts, doubled inside."""
    assert kept(where) == rows


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("day = '2024-05-17'", [1]),
        ("day >= '2024-01-01' and day < '2025-01-01'", [0, 1]),
        ("day between '2023-12-31' and '2024-01-01'", [0, 3]),
        ("day in ('2025-01-01', '1999-01-01')", [4]),
        ("at >= '2024-01-01'", [0, 1, 4]),
        ("at = '2024-01-01 09:00'", [1]),
        ("at < '2024-01-01T09:00:00'", [0, 3]),
        ("utc = '2024-01-01T10:00:00+02:00'", [0]),
        ("utc > '2024-01-01 09:00+00:00'", [4]),
        ("utc is null", [1, 2, 3]),
    ],
)
def test_dates_and_moments_are_written_as_iso_texts(where, rows):
    """A date compares with '2024-05-17', a moment with or without its time and zone."""
    assert kept(where) == rows


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("'sale' in tags", [0, 1]),
        ("not 'sale' in tags", [2, 4]),
        ("'sale' not in tags", [2, 4]),
        ("'sale' in tags and 'shoes' in tags", [0]),
        ("2 in sizes", [0, 3]),
        ("2.0 in sizes", [0, 3]),
        ("2.5 in sizes", []),
        ("tags is null", [3]),
        ("contains(label, 'a')", [1]),
        ("'res' in label", [0]),
        ("label like 'd%'", [0]),
        ("label like '%s%'", [0, 3]),
        ("label like '___'", [1]),
        ("label not like '%s%'", [1, 4]),
        ("label ilike 'DRESS'", [0]),
        ("starts_with(label, 'Gr')", [4]),
        ("ends_with(label, 's')", [0, 3]),
        ("starts_with(label, '%')", []),
    ],
)
def test_lists_and_parts_of_texts_can_be_asked_for(where, rows):
    """'x' in a list or a text, LIKE with % and _, starts_with, ends_with and contains."""
    assert kept(where) == rows


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("id = 'd.png'", [3]),
        ("id like 'sub/%'", [1]),
        ("text = 'two'", [1]),
        ("text is null", [2]),
        ("'/sub/' in path", [1]),
        ("id in ('a.png', 'e.png')", [0, 4]),
        (f"id = '{normalize('NFC', 'Ü')}.png'", [2]),
        (f"id = '{normalize('NFD', 'Ü')}.png'", [2]),
    ],
)
def test_the_id_the_text_and_the_path_can_be_asked_for(where, rows):
    """What each item has beside its fields is asked for by the names id, text and path."""
    assert kept(where) == rows


def test_a_field_comes_before_what_each_item_has():
    """A field called text is meant by `text`."""
    table = TABLE.append_column(FIELD + "text", pa.array([1, 2, 3, 4, 5]))
    mask = as_filter("text > 3", table, {**TYPES, "text": pa.int64()}).mask
    assert np.flatnonzero(mask).tolist() == [3, 4]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_text_is_found_in_each_of_its_forms(form):
    """Composed and decomposed letters are equal, in =, !=, IN, LIKE, parts and names of fields."""
    city = normalize(form, "Zürich")
    assert kept(f"city = '{city}'") == [0, 1]
    assert kept(f"city != '{city}'") == [3, 4]
    assert kept(f"city in ('{city}', 'Bern')") == [0, 1, 3]
    assert kept(f"city like '{city[:3]}%'") == [0, 1]
    assert kept(f"'{normalize(form, 'ü')}' in city") == [0, 1, 4]
    assert kept(f"{normalize(form, 'größe')} = 3") == [2]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("price > 9.5", [0, 1, 2]),
        ("price >= 2.5e1", [1, 2]),
        ("price between 9.5 and 1.5e6", [0, 1, 2]),
        ("price = 9.5", []),
        ("price != 9.5", [0, 1, 2, 4]),
        ("price > 1e18", []),
        ("price < 1e400", [0, 1, 2, 4]),
        (f"price < {10**30}", [0, 1, 2, 4]),
        (f"price in (10, -{2**63 + 1})", [0]),
        ("day >= '2024-01-01T00:00'", [0, 1, 4]),
        ("day > '2024-05-17 12:00'", [4]),
    ],
)
def test_a_literal_of_a_wider_type_is_compared_exactly(where, rows):
    """A float beside whole numbers and a time beside dates are compared, not cast."""
    assert kept(where) == rows


@pytest.mark.parametrize(
    ("where", "quoted"),
    [
        ("when > '2024-01-01'", '"when"'),
        ("when is not null and price < 3", '"when"'),
        ("unit-price < 3", '"unit-price"'),
        ("price < 30 and unit-price < 3", '"unit-price"'),
        ("a column.with parts = 'x'", '"a column.with parts"'),
    ],
)
def test_a_name_that_needs_quotes_is_told(where, quoted):
    """A field whose name SQL takes for something else is named, with its double quotes."""
    with pytest.raises(FilterError, match=f"[^.]\\. The field .* needs double quotes: {quoted}"):
        kept(where)


@pytest.mark.parametrize("where", ["price <", '"when" > 5', "label = 'when' and", "whenever = 1"])
def test_a_name_in_quotes_or_in_a_text_is_no_reason_for_quotes(where):
    """Where the fault is another one, nothing is said of quotes."""
    with pytest.raises(FilterError) as error:
        kept(where)
    assert "double quotes" not in str(error.value)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("prize < 40", r"no field 'prize' \(it has label, price,.*Did you mean 'price'"),
        ("Label = 'hat'", "no field 'Label'"),
        ("nothing is null", "no field 'nothing'"),
        ("label = 5", "'label' holds values of type string, which 5 is not"),
        ("price = '10'", "'price' holds values of type int64, which '10' is not"),
        ("price = true", "'price' holds values of type int64, which True is not"),
        ("price", "'price' holds values of type int64, which True is not"),
        ("sold = 1", "'sold' holds values of type bool"),
        ("price in (1, 'a')", "which 'a' is not"),
        ("day = 'May 17'", "'day' holds values of type date32"),
        ("day > 2024", "'day' holds values of type date32"),
        ("at = 'noon'", "'at' holds values of type timestamp"),
        ("price between 1 and 'z'", "which 'z' is not"),
        ("tags = 'sale'", "'tags' holds lists. Ask for a value in them, as in: 'a' in tags"),
        ("tags in ('sale', 'new')", "'tags' holds lists"),
        ("tags like 's%'", "'tags' holds lists"),
        ("5 in tags", "'tags' holds values of type string, which 5 is not"),
        ("5 in price", "'price' holds values of type int64; only texts can be searched for"),
        ("price like '1%'", "'price' holds values of type int64; only texts can be searched for"),
    ],
)
def test_a_wrong_field_or_value_is_told(where, message):
    """An unknown field is named with the known ones, a value of the wrong type with the right type."""
    with pytest.raises(FilterError, match=message):
        kept(where)


def test_a_large_number_compares_with_a_float():
    """A whole number over 64 bits is a number to a float field."""
    assert kept(f"weight < {10**30}") == [0, 1, 3, 4]


def test_a_filter_is_a_closed_tree():
    """A few kinds of nodes hold everything that can be asked."""
    tree = parse("a = 1 and (b in ('x', 'y') or not c is null)")
    assert tree == Both(Compare("a", "=", 1), Either(In("b", ("x", "y")), Not(IsNull("c"))))
    assert parse("1 < a") == Compare("a", ">", 1)
    assert parse("a between -1 and 2.5") == Both(Compare("a", ">=", -1), Compare("a", "<=", 2.5))


def test_rows_of_a_table_in_chunks_keep_their_order():
    """The mask follows the rows through a table of many chunks."""
    many = pa.concat_tables([TABLE] * 50)
    assert kept("sold", many) == [row for row in range(250) if row % 5 in (0, 3)]
