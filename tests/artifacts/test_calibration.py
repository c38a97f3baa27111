"""The scale of an index: made with builds, changed by `calibrate`."""

import numpy as np
import pytest

import embedsearch as es
from embedsearch.api import calibrate
from embedsearch.artifacts import calibration as module
from embedsearch.artifacts.calibration import read_background
from embedsearch.artifacts.scale import SENTENCES, general, make_scale
from embedsearch.distances.metric import Metric, distances
from embedsearch.distances.scale import Verdict, closeness_of
from embedsearch.errors import QueryError, SourceError
from embedsearch.index import Index
from embedsearch.records import Unit
from embedsearch.store.facts import BackgroundFacts
from tests import fakes

pytestmark = pytest.mark.scale


@pytest.fixture
def calibrated(monkeypatch, tmp_path):
    """`calibrate` on an index of letter counts in `tmp_path`."""
    monkeypatch.setitem(module.calibrate.__kwdefaults__, "load", fakes.LetterEncoder)
    return lambda **options: Index(calibrate("small", indexes=tmp_path, **options).build, fakes.LetterEncoder)


@pytest.mark.parametrize("metric", list(Metric))
def test_a_scale_is_that_of_plain_comparison(make_searcher, metric):
    """Pairs, nearest items and what unrelated queries find are those of comparing all with all."""
    searcher = make_searcher(fakes.fruit_entries(), metric=metric)
    vectors = np.asarray(searcher.build.vectors)
    apart = distances(vectors, vectors, metric)
    made = searcher.build.scale
    pairs = apart[np.triu_indices(10, 1)]
    for far in made.pairs[made.pairs != 0].tolist():
        assert made.percentile(far) == pytest.approx(100 * (pairs > far + 1e-5).mean(), abs=1e-3)
    np.fill_diagonal(apart, np.inf)
    others = np.sort(apart, 1)[:, :3]
    np.testing.assert_allclose(made.nearest, np.sort(others[:, 0]), atol=1e-5)
    np.testing.assert_allclose(made.answers, np.sort(closeness_of(others)), atol=1e-5)
    asked = np.array([fakes.letters(text) for text in SENTENCES.read_text().splitlines()])
    found = np.sort(distances(asked, vectors, metric), 1)
    np.testing.assert_allclose(made.foreign, np.sort(closeness_of(found)), atol=1e-5)


def test_hits_say_where_they_stand(make_searcher):
    """Each hit has its percentile and its word, nearer ones no lesser."""
    hits = make_searcher(fakes.fruit_entries()).search("apple", k=10)
    percentiles = [hit.percentile for hit in hits]
    assert percentiles == sorted(percentiles, reverse=True)
    assert (percentiles[0], hits[0].label) == (100, "the same")


def test_an_answer_is_judged_by_three_however_few_are_asked(make_searcher):
    """The verdict does not hang on k."""
    searcher = make_searcher(fakes.fruit_entries())
    one, all_ = searcher.search("apple", k=1), searcher.search("apple", k=10)
    assert len(one.hits) == 1
    assert (one.verdict, one.foreign_rate) == (all_.verdict, all_.foreign_rate)
    assert searcher.search("zzz").verdict is Verdict.NOTHING_CLOSE


def test_pictures_have_no_background(colours):
    """An index of pictures gives percentiles, and no verdict."""
    answer = colours.search(es.MoreLike("red"))
    assert (answer.verdict, answer.foreign_rate) == (None, None)
    assert answer.hits[0].percentile is not None
    assert colours.manifest.artifacts.scale.background is None


def test_words_are_asked_for_words(make_searcher):
    """The background of a word index is a word in each sentence."""
    searcher = make_searcher([fakes.text("a", "The cat sat."), fakes.text("b", "dog den")], unit=Unit.WORD)
    assert 500 < searcher.manifest.artifacts.scale.background.count <= 1000
    assert all(len(each.spans) == 1 for each in general(Unit.WORD))


def test_one_item_has_no_scale(make_searcher):
    """There is no pair to measure."""
    searcher = make_searcher([fakes.text("a", "apple")])
    assert searcher.build.scale is None
    assert searcher.search("apple")[0].percentile is None


def test_a_rebuild_embeds_no_background_again(make_build):
    """The background of the build before serves while the encoder is the same."""
    first = make_build(fakes.fruit_entries())
    encoders = []

    def load(recipe):
        encoders.append(fakes.LetterEncoder(recipe))
        return encoders[-1]

    second = make_build([*fakes.fruit_entries(), fakes.text("plumes", "plumes")], load=load)
    assert [len(each.embedded) for each in encoders if each.embedded] == [1]
    asked = [np.load(build.folder / "background.npy") for build in (first, second)]
    np.testing.assert_array_equal(*asked)


def test_copies_do_not_hide_an_item_from_itself(make_searcher):
    """Of three equal items each finds two others at no distance."""
    searcher = make_searcher([*fakes.fruit_entries(), *(fakes.text(f"kiwi {n}", "kiwi") for n in range(3))])
    assert (searcher.build.scale.nearest == searcher.build.scale.nearest[0]).sum() >= 3
    assert len(searcher.build.scale.nearest) == 13


def test_another_background_is_kept_by_rebuilds(make_build, calibrated, tmp_path):
    """`--background` replaces the sentences, and later builds keep it."""
    make_build(fakes.fruit_entries())
    file = tmp_path / "own.txt"
    file.write_text("\n".join(f"{'xyz'[at % 3]} {at}" for at in range(150)))
    told = calibrated(background=file).manifest.artifacts.scale.background
    assert told == BackgroundFacts(str(file), 150)
    again = make_build([*fakes.fruit_entries(), fakes.text("kiwi", "kiwi")])
    assert again.manifest.artifacts.scale.background == told
    assert len(again.scale.foreign) == 150


def test_a_small_or_other_background_is_refused(tmp_path):
    """Fewer than 100 texts, or pictures for texts, are told."""
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(SourceError, match="holds 2 texts; a background needs 100"):
        read_background(tmp_path / "few.txt", Unit.TEXT)
    with pytest.raises(SourceError, match="a background of images was expected"):
        read_background(tmp_path / "few.txt", Unit.IMAGE)


def test_people_scores_fall_with_distance(make_build, calibrated, tmp_path):
    """Judged pairs become the nearest falling function of distance; rebuilds keep it."""
    make_build(fakes.fruit_entries())
    words = fakes.FRUITS
    rows = [(a, b, len(set(a) & set(b))) for a in words for b in words if a < b]
    file = tmp_path / "pairs.tsv"
    file.write_text("text1\ttext2\tscore\n" + "".join(f"{a}\t{b}\t{s}\n" for a, b, s in rows))
    searcher = calibrated(pairs=file)
    people = searcher.build.scale.people
    assert (np.diff(people[0]) > 0).all()
    assert (np.diff(people[1]) < 0).all()
    assert searcher.manifest.artifacts.scale.people.pairs == 45
    assert searcher.search("apple", k=1)[0].human_score == pytest.approx(people[1].max())
    again = make_build([*fakes.fruit_entries(), fakes.text("kiwi", "kiwi")])
    np.testing.assert_array_equal(again.scale.people, people)


def test_pairs_are_for_texts(make_build, calibrated, tmp_path):
    """Judged pairs for an index of words are refused."""
    make_build([fakes.text("a", "The cat sat.")], unit=Unit.WORD)
    with pytest.raises(QueryError, match="Judged pairs are texts"):
        calibrated(pairs=tmp_path / "pairs.tsv")


def test_the_background_is_as_many_as_it_says():
    """1,000 different sentences, none blank."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len({line.strip() for line in lines}) == 1000


def test_the_samples_are_the_same_each_time(make_searcher):
    """A scale is made alike from the same index."""
    searcher = make_searcher(fakes.fruit_entries())
    made = make_scale(searcher.build.backend, searcher.build.vectors, Metric.COSINE, None)
    np.testing.assert_array_equal(made.pairs, searcher.build.scale.pairs)


def test_another_metric_needs_no_model_for_its_background(make_build):
    """The background's vectors stay those of the encoder, whatever the distance; its scale is made anew."""
    first = make_build(fakes.fruit_entries())
    second = make_build(fakes.fruit_entries(), metric="l2")
    asked = [np.load(build.folder / "background.npy") for build in (first, second)]
    np.testing.assert_array_equal(*asked)
    assert second.manifest.artifacts.scale.background == first.manifest.artifacts.scale.background
    assert second.scale.limit > first.scale.limit


def test_damaged_judgements_are_told(make_build, calibrated, tmp_path):
    """A rebuild that finds the scale damaged says which judgements and background are to be given again."""
    make_build(fakes.fruit_entries())
    words = fakes.FRUITS
    pairs, own = tmp_path / "pairs.tsv", tmp_path / "own.txt"
    pairs.write_text(
        "text1\ttext2\tscore\n"
        + "".join(f"{a}\t{b}\t{len(set(a) & set(b))}\n" for a in words for b in words if a < b)
    )
    own.write_text("\n".join(f"{'xyz'[at % 3]} {at}" for at in range(150)))
    build = calibrated(pairs=pairs, background=own).build
    (build.folder / "scale.npz").write_bytes(b"x")
    (build.folder / "background.npy").write_bytes(b"x")
    told = fakes.Told()
    again = make_build(fakes.fruit_entries(), progress=told)
    assert f"to measure anew: embedsearch calibrate small --pairs {pairs} --background {own}" in told.stages
    assert (again.manifest.artifacts.scale.people, again.scale.people.shape) == (None, (2, 0))
