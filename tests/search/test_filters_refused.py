"""What is no filter: each part of SQL that must never be understood, and whatever people mistype."""

import numpy as np
import pytest

from embedsearch.errors import FilterError
from embedsearch.search.filters import parse
from tests.search.test_filters import kept

REFUSED = [
    "lower(label) = 'hat'",
    "label = upper('hat')",
    "coalesce(price, 0) = 0",
    "count(*) > 1",
    "label like upper('h')",
    "label like 5",
    "label like any ('a', 'b')",
    "label like 'h!%' escape '!'",
    "label rlike 'h'",
    "'hat' in upper(label)",
    "label in größe",
    "starts_with(label, größe)",
    "contains('hat', label)",
    "label similar to 'h'",
    "label glob 'h*'",
    "label ~ 'h'",
    "price + 1 = 2",
    "price = 1 + 1",
    "price = 5 * 2",
    "-price = 3",
    "price % 2 = 0",
    "label || 'x' = 'hatx'",
    "price in (select 1)",
    "price = (select 1)",
    "exists (select 1)",
    "price = any (1)",
    "price in (order)",
    "price = größe",
    'label = "hat"',
    "price = null",
    "price in (1, null)",
    "sold is true",
    "price is 5",
    "price is distinct from 1",
    "price <=> 1",
    "price between symmetric 25 and 10",
    "1 = 1",
    "1",
    "true",
    "null",
    "'label'",
    "price in ()",
    "price::text = '1'",
    "cast(price as text) = '1'",
    "case when sold then 1 else 2 end = 1",
    "label[1] = 'h'",
    "label -> 'x' = 1",
    "(price, größe) = (1, 2)",
    "price = ?",
    "price = :p",
    "price = @p",
    "price = $1",
    "day = current_date",
    "day > date '2024-01-01'",
    "day > interval '1' day",
    "label = 'a' 'b'",
    "price as p",
    "price < 1 as p",
    "label = 'a' collate x",
    "a.b.c.d.e = 1",
    "price = {x}",
    "*",
    "label.* = 1",
    "price := 1",
    "sold xor sold",
    "price = 0x10",
    "price = 1_0",
    "price is not distinct from 1",
]


@pytest.mark.parametrize("where", REFUSED)
def test_everything_else_is_refused(where):
    """Functions, regular expressions, arithmetic, subqueries, casts, parameters, other SQL are no filter."""
    with pytest.raises(FilterError):
        parse(where)


@pytest.mark.parametrize(
    "where",
    [
        "price = 1; drop table items", "price = 1; select 1", "; price = 1; price = 2",
        "price = 1 union select 2",
        "price = 1 limit 3", "price = 1 order by price", "price = 1 group by price", "price = 1 where sold",
        "price = 1 from items", "select 1", "select * from items where price = 1", "drop table items",
        "insert into items values (1)", "price = 1) or (sold", "price = 1 --\n; drop table items",
        "price = 1 /* */ ; drop table items", "copy items to 'x'", "attach 'x'", "pragma x",
        "with a as (select 1) select 1",
    ],
)  # fmt: skip
def test_a_statement_is_no_filter(where):
    """A second statement, a clause behind the condition or a whole query is refused, comments or not."""
    with pytest.raises(FilterError):
        parse(where)


def test_a_comment_adds_and_takes_nothing():
    """What stands in a comment has no effect on what is kept."""
    assert parse("price = 1 -- or sold") == parse("price = /* 2 */ 1") == parse("price = 1")
    with pytest.raises(FilterError):
        parse("-- price = 1")


@pytest.mark.parametrize(
    "where", ["", "  ", "(", "price <", "price < 40)", "'", '"', "label = 'open", "and", "'" * 99]
)
def test_broken_filters_are_told(where):
    """What can't be parsed is told with an example of what can."""
    with pytest.raises(FilterError, match=r"Write it like: label = 'dress' and price < 40"):
        parse(where)


def test_the_message_names_the_part_that_was_refused():
    """The function, not the value beside it, is what the message shows."""
    with pytest.raises(FilterError, match="LOWER"):
        parse("lower(label) = 'hat'")


@pytest.mark.parametrize("depth", [50, 200, 500, 900, 1990])
@pytest.mark.parametrize("form", ["({})", "not {}", "sold and {}", "sold or {}"])
def test_nesting_is_answered_or_refused(form, depth):
    """However deep a filter is nested, it keeps its rows or is a FilterError; the stack never overflows."""
    before, after = form.split("{}")
    where = before * depth + "sold" + after * depth
    try:
        rows = kept(where)
    except FilterError:
        return
    assert rows == ([1, 4] if form.startswith("not") and depth % 2 else [0, 3])


def test_nesting_that_people_type_is_answered():
    """Thirty levels of brackets and a list of a hundred values are no problem."""
    assert kept("(" * 30 + "sold" + ")" * 30) == [0, 3]
    assert kept(" or ".join(f"price = {number}" for number in range(100))) == [0, 1, 2]
    assert kept(f"price in ({','.join(map(str, range(1000)))})") == [0, 1, 2]


def test_a_filter_of_too_many_characters_is_refused():
    """Over 4,000 characters nothing is parsed."""
    with pytest.raises(FilterError, match="at most 4,000"):
        parse("sold or " * 600 + "sold")


def test_noise_is_a_filter_error():
    """Random tokens are a filter or a FilterError; nothing else escapes."""
    random = np.random.default_rng(0)
    signs = [*"()=<>,.;\0\n'\"[]{}@$?*-+ü", ">=", "!=", "--", "/*", "*/", "::", "1", "-2.5", "e1", "0x"]
    names = ["price", "label", "sold", "day", '"a b"', "'x'", "'2024-01-01'", "null", "true"]
    words = ["and", "or", "not", "in", "between", "is", "select", "case", "when", "end", "like"]
    tokens = signs + names * 3 + words * 2
    answered = 0
    for _ in range(3000):
        where = " ".join(random.choice(tokens, random.integers(1, 9)))
        try:
            kept(where)
            answered += 1
        except FilterError as error:
            assert str(error)
    assert answered > 5
