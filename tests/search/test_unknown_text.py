"""Text that the model does not know: rejected, or found without being judged."""

from dataclasses import replace

import numpy as np
import pytest

from embedsearch import Query, WeightedTerm
from embedsearch.analysis.duplicates import find_duplicates
from embedsearch.errors import ItemError
from embedsearch.index import Index
from embedsearch.query import MoreLike
from embedsearch.store.manifest import UNKNOWN
from tests import fakes

WORDS = [f"{first}{second}" for first in "bcdfghjklm" for second in ("an apple", "oats", "ink")]


class English(fakes.LetterEncoder):
    """Counts letters, and knows a to z alone."""

    def prepare(self, items, role="passage"):
        """Count what is neither a letter from a to z nor a space as unknown."""
        return [
            self._known(item, each) for item, each in zip(items, super().prepare(items, role), strict=True)
        ]

    def _known(self, item, prepared):
        unknown = np.mean([not (each.isascii() or each.isspace()) for each in item])
        return ItemError("nothing is known") if unknown == 1 else replace(prepared, unknown=float(unknown))


@pytest.fixture
def mixed(make_build):
    """A function that builds an index of English texts, two mostly unknown ones and a wholly unknown one."""

    def build(*more):
        entries = [fakes.text(word, word) for word in WORDS]
        entries += [
            fakes.text("zh1", "审批流程需要经理的批准 a"),
            fakes.text("zh2", "猫在垫子上睡觉睡觉睡觉 a"),
            fakes.text("th", "แมวนอนอยู่"),
            fakes.text("half", "a cat 审批"),
            *more,
        ]
        return Index(make_build(entries, load=English, metric="cosine"), English)

    return build


@pytest.mark.scale
def test_what_is_mostly_unknown_is_counted_and_not_judged(mixed):
    """A text of which over a third is unknown is found without percentile and label; the rest is judged."""
    index = mixed()
    assert index.manifest.report.unknown == 2
    assert index.rejected() == [{"id": "th", "reason": "nothing is known"}]
    hits = {hit.id: hit for hit in index.search("a cat", k=40)}
    assert [hits["zh1"].percentile, hits["zh1"].label] == [None, None]
    assert hits["zh1"].unknown == pytest.approx(11 / 13, abs=1e-3)
    assert hits["half"].unknown == pytest.approx(2 / 8, abs=1e-3)
    assert hits["half"].label is not None
    assert hits["ban apple"].percentile is not None


@pytest.mark.scale
@pytest.mark.parametrize(
    "query",
    ["审批流程 a", MoreLike("zh1"), Query((WeightedTerm("a cat"), WeightedTerm("审批流程 a", 0.5)))],
    ids=["text", "item", "terms"],
)
def test_a_query_that_is_mostly_unknown_is_not_judged(mixed, query):
    """A query of which over a third is unknown gets no verdict and no label, and the answer says why."""
    results = mixed().search(query)
    assert results.unknown > 1 / 3
    assert results.verdict is None
    assert {hit.label for hit in results} == {None}
    assert {hit.percentile for hit in results} == {None}
    assert "multilingual model: --model" in results.reason


@pytest.mark.scale
def test_a_verdict_rests_on_hits_that_are_known(mixed):
    """The distances of hits that are mostly unknown do not count for the verdict."""
    index = mixed()
    a = index.search(np.eye(26, dtype=np.float32)[0], k=1)  # the letter a alone: as zh1 and zh2
    assert a[0].id in ("zh1", "zh2")
    assert a[0].distance == pytest.approx(0, abs=1e-6)
    hits = index.search(np.eye(26, dtype=np.float32)[0], k=6)
    judged = index.build.scale.judge([hit.distance for hit in hits if hit.unknown <= 1 / 3])
    assert (a.verdict, a.foreign_rate) == (judged.verdict, judged.foreign_rate)


def test_a_query_that_is_wholly_unknown_is_refused(mixed):
    """A query of nothing that the model knows is refused with the encoder's reason."""
    with pytest.raises(ItemError, match="nothing is known"):
        mixed().search("แมวนอน")


def test_unknown_texts_are_no_near_copies(mixed):
    """Two texts that are mostly unknown are no copies, though they are 0 apart; those of one content are."""
    index = mixed(fakes.text("zh3", "审批流程需要经理的批准 a"))
    assert index.manifest.report.unknown == 3
    found = find_duplicates(index)
    groups = [{each.id for each in group.members} for group in found.groups]
    assert {"zh1", "zh3"} in groups
    assert not any("zh2" in group for group in groups)


def test_a_rebuild_knows_what_was_unknown(mixed):
    """Shares are kept with kept vectors, and copied with copies of other items."""
    before = mixed()
    after = mixed(fakes.text("again", "审批流程需要经理的批准 a"), fakes.text("new", "a new one"))
    assert after.manifest.report.reused == len(before) + 1  # the copy too
    shares = dict(zip(after.build.items["id"].to_pylist(), after.build.unknown.tolist(), strict=True))
    assert shares["zh1"] == shares["again"] == pytest.approx(11 / 13, abs=1e-3)
    assert shares["new"] == 0
    assert after.manifest.report.unknown == 3


def test_an_index_of_known_texts_has_no_file_of_shares(fruits):
    """Where all is known nothing is written, as before 0.7."""
    assert UNKNOWN not in fruits.manifest.files
    assert fruits.build.unknown.tolist() == [0] * len(fruits)
