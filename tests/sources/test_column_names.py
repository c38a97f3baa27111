"""Names of columns in one line."""

import pytest

from embedsearch.sources.column_names import join_names, split_names


@pytest.mark.parametrize("names", [("price", "colour"), ("price, net", 'a "b"', "c"), ("two\nlines", "x")])
def test_names_with_commas_and_quotes_are_read_back(names):
    """What stands between commas is a name; one that holds commas or quotes stands in quotes."""
    assert split_names(join_names(names)) == names
    assert split_names(' price , "a, b" ,, ') == ("price", "a, b")
