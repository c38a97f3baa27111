import numpy as np
import pytest

from embedsearch.analysis.diagnostics import diagnose, occurrences, skewness
from embedsearch.progress import Silent
from embedsearch.records import Unit
from tests.fakes import text


def words(count, seed=0):
    """Return records of random letters."""
    draw = np.random.default_rng(seed)
    return [text(str(at), "".join(draw.choice(list("abcdefghij"), 15))) for at in range(count)]


def plain_skewness(values):
    """The third standardised moment, written plainly."""
    apart = values - values.mean()
    return (apart**3).mean() / (apart**2).mean() ** 1.5


def test_occurrences_are_those_of_all_distances(make_build):
    """N_k counts in whose k nearest an item stands, by comparing all with all; none is its own."""
    build = make_build(words(80), metric="l2")
    vectors = np.asarray(build.vectors, np.float64)
    far = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(far, np.inf)
    counts = occurrences(build, np.arange(80), Silent(), k=3)
    assert counts.sum() == 80 * 3
    limit = np.sort(far, axis=1)[:, 2]
    sure = (far < limit[:, None] - 1e-6).sum(0)
    possible = (far <= limit[:, None] + 1e-6).sum(0)  # letter counts have ties
    assert ((sure <= counts) & (counts <= possible)).all()


def test_among_many_copies_none_is_its_own_neighbour(make_build):
    """Each item asked adds k counts, also where it is not among its own k + 1 nearest."""
    build = make_build([text(str(at), "ab" + " " * at) for at in range(30)])
    assert occurrences(build, np.arange(30), Silent(), k=5).sum() == 30 * 5


def test_the_skewness_of_all_is_the_plain_one():
    """With all items asked it is the third standardised moment of the counts."""
    counts = np.random.default_rng(0).poisson(np.random.default_rng(1).gamma(2, 5, 400))
    assert skewness(counts, 400) == pytest.approx(plain_skewness(counts))


def test_the_skewness_of_a_sample_is_that_of_all():
    """From a tenth of the items asked it comes out around that of all, not as that of their counts."""
    draw = np.random.default_rng(0)
    counts = draw.poisson(draw.gamma(8, 2, 20_000))
    sampled = [draw.hypergeometric(counts, 20_000 - counts, 2000) for _ in range(30)]
    told = [skewness(each, 2000) for each in sampled]
    assert np.mean(told) == pytest.approx(plain_skewness(counts), abs=0.06)
    assert np.mean([plain_skewness(each) for each in sampled]) > plain_skewness(counts) + 0.2


@pytest.mark.parametrize(("counts", "asked"), [([2, 2, 2, 2], 4), ([1, 0], 2), ([0, 0, 0, 0], 4)])
def test_a_skewness_that_means_nothing_is_none(counts, asked):
    """Equal counts, or too few, have none."""
    assert skewness(np.array(counts), asked) is None


def test_a_hub_is_found(make_build):
    """What is near to all the others, which are not near to each other, leads the hubs with all counts."""
    entries = [text("hub", "abcdefghijklmnopqrstuvwxyz")] + [
        text(chr(at), chr(at) * 9) for at in range(97, 123)
    ]
    found = diagnose(make_build(entries))["hubness"]
    assert found["hubs"][0] == {"id": "hub", "count": 26, "share": round(26 / 27, 4)}
    assert found["skewness"] > 0
    assert found["mean"] == 10


def test_anisotropy_and_norms_are_those_of_the_vectors(make_build):
    """The mean cosine and the lengths are computed over the raw vectors; copies are counted by kind."""
    entries = [text("1", "aa"), text("2", "bbb"), text("3", "aa"), text("4", "ab"), text("5", "a a")]
    build = make_build(entries)
    found = diagnose(build)
    unit = np.asarray(build.vectors) / np.linalg.norm(build.vectors, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(5, 1)]
    assert found["anisotropy"] == pytest.approx(cosines.mean(), abs=0.02)
    norms = np.array([2, 3, 2, np.sqrt(2), 2])
    assert found["norms"] == pytest.approx(
        {"mean": norms.mean(), "std": norms.std(), "min": norms.min(), "max": 3}, abs=1e-4
    )
    assert found["duplicates"]["exact"] == 0.2
    assert found["duplicates"]["near"] == 0  # "aa" and "a a" have one vector, and other letters
    assert found["asked"] == 5


def test_near_copies_are_those_of_the_second_check(make_build):
    """What only says the same lies near, and is no copy."""
    line = "the parcel was damaged when it came"
    entries = [
        text("1", line),
        text("2", f"{line}!"),
        text("3", "the damaged parcel came when it was"),
        text("4", "xyz"),
    ]
    found = diagnose(make_build(entries))["duplicates"]
    assert (found["near"], found["checked"]) == (0.5, True)


def test_a_sample_is_bounded_and_the_same_each_time(make_build):
    """Of a large index so many items are asked, and figures do not change from run to run."""
    build = make_build(words(300))
    first = diagnose(build, sample=50)
    assert first["asked"] == 50
    assert first == diagnose(build, sample=50)


@pytest.mark.parametrize("options", [{"unit": Unit.WORD}, {"metric": "ip"}])
def test_copies_are_not_told_of_words_and_inner_products(make_build, options):
    """All but the share of copies is measured there too."""
    found = diagnose(make_build([text("a", "one two three"), text("b", "four five six")], **options))
    assert found["duplicates"] is None
    assert found["norms"]["max"] > 0


def test_one_item_has_no_pairs(make_build):
    """A single item has lengths, and neither hubs nor a mean cosine."""
    found = diagnose(make_build([text("a", "one")]))
    assert (found["anisotropy"], found["hubness"]["hubs"], found["hubness"]["skewness"]) == (None, [], None)
