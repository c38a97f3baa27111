import pytest

from embedsearch.errors import RecipeError
from embedsearch.lexical.languages import check_language, detect
from embedsearch.lexical.terms import Analyzer, key, length

CASES = [
    ("The cats were running", ["the", "cat", "were", "run"]),
    ("asyncio.TaskGroup", ["asyncio.taskgroup", "asyncio", "taskgroup", "task", "group"]),
    ("$200", ["$200", "200"]),
    ("ERR_42", ["err_42", "err", "42"]),
    ("C++ and C#", ["c++", "c", "and", "c#"]),
    ("1,000 py3", ["1,000", "1", "000", "py3", "py", "3"]),
    ("ＡＢＣ café", ["abc", "café"]),
    ("在北京", ["在北", "北京"]),
    ("猫", ["猫"]),
    ("東京タワーへ go", ["東京", "京タ", "タワ", "ワー", "ーへ", "go"]),
    ("?!", []),
]


@pytest.mark.parametrize(("text", "terms"), CASES)
def test_a_query_gives_its_words_whole_and_in_parts(text, terms):
    """Words by their stems, identifiers whole and split, Chinese by pairs; and the query as a whole id."""
    assert Analyzer("english").of_query(text) == [key(text), *terms]


def test_an_item_is_found_by_a_single_character_and_by_its_whole_id():
    """Items also give single characters of scripts without spaces, and their id as one term."""
    (terms,) = Analyzer("").of_items([("os.Path", "北京")])
    assert terms == [key("OS.path"), "os.path", "os", "path", "北京", "北", "京"]
    assert next(Analyzer("").of_items([("", "cats")])) == ["cats"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("english", "Where is the book that you gave to her?"),
        ("german", "Wo ist das Buch, das du ihr gegeben hast?"),
        ("french", "Où est le livre que vous lui avez donné ?"),
        ("russian", "Где книга, которую ты ей дал? Она была на столе."),
        ("", "猫が好きです"),
        ("", "red blue 17"),
        ("", ""),
    ],
)
def test_the_language_is_found_by_frequent_words(language, text):
    """The language of texts is told by frequent words, and none where there are too few."""
    assert detect([text]) == language


def test_a_language_that_has_no_stemmer_is_refused():
    """A language is a name of Snowball, `none` or empty; another is refused with the nearest name."""
    assert [check_language(name) for name in ("finnish", "none", "")] == ["finnish", "none", ""]
    with pytest.raises(RecipeError, match=r"Unknown language 'englsh'.*english"):
        check_language("englsh")


def test_length_counts_words_of_all_scripts():
    """A text without spaces has a word for each two characters."""
    assert (length("three short words"), length("我喜欢在北京吃烤鸭"), length("")) == (3, 5, 0)


def test_words_of_a_query_are_marked_by_their_stems():
    """`cancel` marks `cancelled`; short words, which stand everywhere, mark nothing; identifiers do."""
    text = "The order was cancelled in 2024 by ERR_42, cancelling all."

    def marked(language, *queries):
        return [text[start:end] for start, end in Analyzer(language).marker(queries)(text)]

    assert marked("english", "how to cancel in the year 2024") == ["cancelled", "2024", "cancelling"]
    assert marked("english", "ERR_42", "orders") == ["order", "ERR_42"]
    assert marked("", "cancel", "Order") == ["order"]
    assert [len(Analyzer("").marker(["睡觉"])("猫在睡觉"))] == [1]
