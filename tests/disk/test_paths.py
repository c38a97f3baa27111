"""Paths as people write them."""

import pytest

import embedsearch as es
from embedsearch.disk.paths import expanded
from embedsearch.errors import SourceNotFoundError


def test_a_home_that_nobody_has_is_a_sentence(tmp_path, monkeypatch):
    """`~` is the home folder; a name behind it that no user has is a path that does not exist."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/faq.csv") == tmp_path / "faq.csv"
    assert str(expanded("~nobody-of-this-name/x")) == "~nobody-of-this-name/x"
    with pytest.raises(SourceNotFoundError, match="~nobody-of-this-name/x does not exist"):
        es.build("~nobody-of-this-name/x", name="x", indexes=tmp_path)
