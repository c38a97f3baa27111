from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from embedsearch.analysis import duplicates, same_image
from embedsearch.analysis.duplicates import DuplicateFinder
from embedsearch.analysis.neighbours import Usual, measure_usual
from embedsearch.distances.metric import Metric
from embedsearch.errors import QueryError
from embedsearch.records import Unit
from tests.analysis.test_same_image import photo
from tests.fakes import LetterEncoder, colour, picture, text


def find_duplicates(searcher, threshold="auto", keep="best"):
    """Find copies by the threshold alone, without a second check."""
    return duplicates.find_duplicates(searcher, threshold, keep, check=False)


def members(groups):
    """Return the ids of each group, the kept one first."""
    return [[each.id for each in group.members] for group in groups]


# by their letters "abc" and "cba" are the same, and so are "xy" and "yx"
MIXED = [
    text("1", "abc"),
    text("2", "xy"),
    text("3", "abc"),
    text("4", "cba"),
    text("5", "lonely"),
    text("6", "yx"),
    text("7", "abc"),
]


def test_exact_copies_stand_apart_from_identical_vectors(make_searcher):
    """Only equal contents are exact copies; of equal vectors of other contents each content is in once."""
    found = find_duplicates(make_searcher(MIXED))
    assert members(found.exact) == [["1", "3", "7"]]
    assert members(found.near) == [["1", "4"], ["2", "6"]]
    assert [group.distance for group in found.groups] == [0, 0, 0]
    assert found.others() == ["3", "7", "4", "6"]


def test_nothing_of_what_is_left_is_a_copy(make_searcher):
    """An index without `others` has no copies at the same threshold."""
    entries = [text(str(at), "ab" * at + "c" * (at % 4) + "d") for at in range(1, 40)]
    found = find_duplicates(make_searcher(entries), 0.05)
    gone = set(found.others())
    left = make_searcher([each for each in entries if each.id not in gone], replace_old=True)
    assert gone
    assert find_duplicates(left, 0.05).groups == ()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_distances_are_those_of_the_vectors(make_searcher, metric):
    """Each member's distance is the exact one to the kept item, within the threshold; the largest ties it."""
    entries = [text("a", "aaab"), text("b", "aabb"), text("c", "zz")]
    limit = {"cosine": 0.2, "l2": 1.5}[metric]
    found = find_duplicates(make_searcher(entries, metric=metric), limit)
    (group,) = found.near
    expected = {"cosine": 1 - 8 / np.sqrt(10 * 8), "l2": np.sqrt(2)}[metric]
    assert group.members[1].distance == pytest.approx(expected, abs=1e-12)
    assert group.distance == group.members[1].distance


def test_the_longest_text_or_the_first_is_kept(make_searcher):
    """`best` keeps the longest text of a group, the first of equal ones; `first` the first in the source."""
    searcher = make_searcher([text("short", "ab"), text("long", "abab"), text("as long", "baba")])
    assert members(find_duplicates(searcher).near) == [["long", "short", "as long"]]
    assert members(find_duplicates(searcher, keep="first").near) == [["short", "long", "as long"]]


def test_the_largest_image_is_kept(make_searcher, tmp_path):
    """`best` keeps the image of the most pixels, of as many that of the most bytes; a lost file last."""
    entries = []
    for name, side in (("small", 4), ("large", 16), ("gone", 32)):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (side, side), "red").save(path)
        entries.append(picture(name, path))
    Image.new("RGB", (16, 16), "red").save(tmp_path / "heavy.bmp")
    entries.append(picture("heavy", (tmp_path / "heavy.bmp").read_bytes()))
    searcher = make_searcher(entries, unit=Unit.IMAGE)
    (tmp_path / "gone.png").unlink()
    assert members(find_duplicates(searcher).near) == [["heavy", "small", "large", "gone"]]
    assert colour(tmp_path / "large.png")[0] == 1


@pytest.mark.parametrize("copies", [40, 200])
def test_a_group_may_be_larger_than_the_neighbours_looked_at(make_searcher, copies):
    """All copies of one thing are one group, however many there are."""
    entries = [text(str(at), "ab" + " " * at) for at in range(copies)] + [text("z", "zz")]
    found = find_duplicates(make_searcher(entries), keep="first")
    assert members(found.near) == [[str(at) for at in range(copies)]]


def test_neighbours_beyond_those_looked_at_are_asked_for(make_searcher):
    """Where each item has hundreds of near ones, and others are nearer, the first still takes in all."""
    letters = "bcdefghijklmnopqrstuvwxyz"
    entries = [text(a + b, "a" * 40 + a + b) for a, b in combinations(letters, 2)]
    (group,) = find_duplicates(make_searcher(entries), 0.01, keep="first").groups
    assert group.members[0].id == "bc"
    assert len(group.members) == len(entries) == 300


def test_an_approximate_index_finds_the_same_groups(make_searcher):
    """A graph searched for neighbours gives the groups that exact search gives."""
    draw = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(letters[draw.integers(0, 26, 12)]) for _ in range(1200)]
    entries = [text(str(at), word) for at, word in enumerate(words)]
    entries += [text(f"copy {at}", words[at][::-1]) for at in range(0, 1200, 40)]
    exact = find_duplicates(make_searcher(entries, backend="exact"))
    graph = find_duplicates(make_searcher(entries, backend="hnsw", replace_old=True))
    assert exact.threshold == pytest.approx(graph.threshold, rel=0.02)
    assert len(exact.near) >= 30
    assert {tuple(each) for each in members(graph.near)} == {tuple(each) for each in members(exact.near)}


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_the_automatic_threshold_does_not_depend_on_the_size_of_vectors(metric):
    """The rule is the same in squared Euclidean distances of unit vectors, which are twice the cosine's."""
    double = 2 if metric == "l2" else 1
    threshold = Usual(Metric(metric), 0.6 * double, 0.24 * double, 1, np.empty(0)).threshold
    assert (threshold**2 / 2 if metric == "l2" else threshold) == pytest.approx(0.066)


@pytest.mark.parametrize(
    ("random", "crowded", "expected"),
    [(0.6, 0.24, 0.066), (0.8, 0.14, 0.042), (0.6, 0.001, 0.018), (0.6, np.inf, 0.066), (0.0, 0.0, 0.0)],
)
def test_the_automatic_threshold_has_its_bounds(random, crowded, expected):
    """It is 0.3 of how near the tenth neighbour is, from 3 to 11 percent of how far random pairs are."""
    assert Usual(Metric.COSINE, random, crowded, 1, np.empty(0)).threshold == pytest.approx(expected)


def test_the_scale_is_that_of_all_pairs(make_build):
    """The scale is the median over pairs and the quartile of tenth neighbours, by comparing all with all."""
    draw = np.random.default_rng(1)
    entries = [text(str(at), "".join(draw.choice(list("abcdef"), 9))) for at in range(60)]
    build = make_build(entries)
    scale = measure_usual(build, np.arange(60), None)
    unit = np.asarray(build.vectors) / np.linalg.norm(build.vectors, axis=1, keepdims=True)
    far = 1 - unit @ unit.T
    others = np.sort(far + 9 * np.eye(60), axis=1)
    assert scale.random == pytest.approx(np.median(far[np.triu_indices(60, 1)]), rel=0.05)
    assert scale.crowded == pytest.approx(np.quantile(others[:, 9], 0.25, method="lower"), abs=1e-6)
    assert scale.nearest == pytest.approx(others[:, 0], abs=1e-6)


@pytest.mark.parametrize("entries", [[text("a", "one")], [text("a", "one"), text("b", "one")]])
def test_one_content_has_no_near_copies(make_searcher, entries):
    """An index of a single content has no near group, and is no error."""
    found = find_duplicates(make_searcher(entries))
    assert (found.near, len(found.exact)) == ((), len(entries) - 1)


@pytest.mark.parametrize("threshold", ["near", float("nan"), -0.1, float("inf"), ""])
def test_a_threshold_is_a_distance(fruits, threshold):
    """Anything but `auto` and numbers from 0 is refused with what was given."""
    with pytest.raises(QueryError, match="'auto' or a distance of 0 or more"):
        find_duplicates(fruits, threshold)


def test_words_are_no_duplicates(terms):
    """An index of words is refused: the same word in two sentences is no copy."""
    with pytest.raises(QueryError, match="--unit text"):
        find_duplicates(terms)


def test_inner_products_are_refused(make_searcher):
    """By the inner product a copy need not be nearest, so the index is refused with what helps."""
    with pytest.raises(QueryError, match="--metric cosine"):
        find_duplicates(make_searcher([text("a", "a"), text("b", "b")], metric="ip"))


def test_what_to_keep_is_one_of_two(fruits):
    """An unknown choice is refused."""
    with pytest.raises(QueryError, match="'best' or 'first'; got 'worst'"):
        find_duplicates(fruits, keep="worst")


def test_no_model_is_loaded(make_build):
    """Copies are found without an encoder, which may not be here any more."""
    from embedsearch.index import Index

    def none(_recipe):
        raise AssertionError("a model was asked for")

    assert len(find_duplicates(Index(make_build(MIXED, load=LetterEncoder), none)).groups) == 3


def checked(searcher, **settings):
    """Find copies by the second check."""
    found = duplicates.find_duplicates(searcher, **settings)
    assert found.checked
    return found


COPIES = [
    text("1", "The parcel was damaged when it came to my house"),
    text("2", "the parcel was  damaged when it came to my house."),
    text("3", "The parcel was damgaed when it came to my house"),
    text("4", "My house was damaged when the parcel came to it"),
    text("5", "When the parcel came it was damaged, my house too"),
    text("6", "The parcel was damaged when it came to my house"),
    text("7", "Quartz fizz jumps"),
]


def test_what_says_the_same_is_no_copy(make_searcher):
    """Near copies are alike letter by letter; what is near by its vector alone is listed apart, and kept."""
    found = checked(make_searcher(COPIES), threshold=0.1)
    assert members(found.exact) == [["1", "6"]]
    assert members(found.near) == [["2", "1", "3"]]
    assert members(found.similar) == [["2", "4", "5"]]
    assert found.others() == ["6", "1", "3"]


def test_the_threshold_moves_only_what_is_no_copy(make_searcher):
    """Copies are found among the nearest at any distance; the threshold decides what else is near."""
    found = checked(make_searcher(COPIES), threshold=0)
    assert members(found.near) == [["2", "1", "3"]]
    assert members(found.similar) == [["2", "4"]]


def test_a_large_group_of_copies_is_one_group(make_searcher):
    """Forty copies are one group, though each has but five others among its nearest."""
    line = "the parcel was damaged when it came to my house on monday"
    entries = [text(str(at), line[:at].upper() + line[at:] + " " * at) for at in range(40)]
    draw = np.random.default_rng(0)
    entries += [text(f"z{at}", "".join(draw.choice(list("qxzjkv"), 30))) for at in range(40)]
    (group,) = checked(make_searcher(entries)).near
    assert len(group.members) == 40


def test_each_pair_is_checked_once(make_build):
    """Another threshold, and another item to keep, check nothing again."""
    finder = DuplicateFinder(make_build(COPIES))
    found = finder.find()
    asked = []

    class Asked(finder.check):
        def same(self, first, second, progress):  # noqa: ARG002
            asked.append(first)
            return np.zeros(len(first), bool)

    finder.check = Asked
    assert members(finder.find(0.2, "first").near) == [["1", "2", "3"]]
    assert members(found.near) == [["2", "1", "3"]]
    assert asked == []


def test_a_second_search_finds_the_same(make_build):
    """Groups that need pairs beyond the nearest are the same when those pairs were checked before."""
    line = "the parcel was damaged when it came to my house on monday"
    entries = [text(str(at), line[:at].upper() + line[at:] + " " * at) for at in range(40)]
    finder = DuplicateFinder(make_build(entries))
    assert finder.find().near == finder.find().near


def test_results_are_kept_on_disk(make_build, tmp_path, monkeypatch):
    """Another process checks nothing again for the same contents, and all again for others."""
    pytest.importorskip("cv2")
    for name, image in (("a", photo(0)), ("b", photo(0).resize((240, 180))), ("c", photo(1))):
        image.save(tmp_path / f"{name}.png")
    entries = [picture(name, tmp_path / f"{name}.png") for name in "abc"]
    finder = DuplicateFinder(make_build(entries, unit=Unit.IMAGE))
    assert members(finder.find().near) == [["a", "b"]]
    asked = []
    same = same_image.ImageCheck.same
    monkeypatch.setattr(
        same_image.ImageCheck, "same", lambda *given: asked.append(len(given[1])) or same(*given)
    )
    again = DuplicateFinder(make_build(entries, unit=Unit.IMAGE))
    assert members(again.find().near) == [["a", "b"]]
    assert asked == []
    photo(0).rotate(90, expand=True).save(tmp_path / "c.png")
    entries[2] = picture("c", tmp_path / "c.png")
    other = DuplicateFinder(make_build(entries, unit=Unit.IMAGE))
    assert members(other.find().near) == [["a", "b", "c"]] or members(other.find().near) == [["a", "c", "b"]]
    assert asked == [3]


def test_a_turned_photo_is_checked_whatever_its_vector(make_build, tmp_path):
    """A copy that is not among the nearest five by its vector is found by its shape."""
    pytest.importorskip("cv2")
    names = ["one", "other", "turned"]
    for name, image in zip(names, (photo(0), photo(1), photo(0).rotate(90, expand=True)), strict=True):
        image.save(tmp_path / f"{name}.png")
    finder = DuplicateFinder(
        make_build([picture(name, tmp_path / f"{name}.png") for name in names], unit=Unit.IMAGE)
    )
    pairs = finder.compare(1.0)
    finder._pairs = replace(pairs, nearest=np.zeros_like(pairs.nearest))
    assert members(finder.find().near) == [["one", "turned"]]


def test_without_the_extra_the_threshold_decides(make_searcher, tmp_path, monkeypatch):
    """Where OpenCV is missing the result says so, and how to get it; near copies are what is near."""
    monkeypatch.setattr(same_image, "find_spec", lambda _: None)
    for name, side in (("a", 8), ("b", 16)):
        Image.new("RGB", (side, side), "red").save(tmp_path / f"{name}.png")
    entries = [picture(name, tmp_path / f"{name}.png") for name in "ab"]
    found = duplicates.find_duplicates(make_searcher(entries, unit=Unit.IMAGE))
    assert (found.checked, found.lacks) == (False, "pip install 'embedsearch[copies]'")
    assert members(found.near) == [["b", "a"]]
    assert found.similar == ()
