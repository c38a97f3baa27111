"""The scale of an index: made with builds, changed by `calibrate`."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch.api import calibrate
from embedsearch.artifacts import calibration as module
from embedsearch.artifacts.calibration import read_background
from embedsearch.artifacts.scale import SENTENCES, general, make_scale
from embedsearch.cli import cli
from embedsearch.cli.calibrate import background_of
from embedsearch.distances import verdict
from embedsearch.distances.metric import Metric, distances
from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import UNMEASURED, Verdict, closeness_of, shown_rate
from embedsearch.errors import QueryError, SourceError
from embedsearch.index import Index
from embedsearch.progress import Silent
from embedsearch.records import Unit
from embedsearch.store.build import open_build
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
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(made.answers[0].items, np.sort(closeness_of(np.sort(apart, 1))), atol=1e-5)
    asked = np.array([fakes.letters(text) for text in SENTENCES.read_text().splitlines()])
    found = np.sort(distances(asked, vectors, metric), 1)
    np.testing.assert_allclose(made.answers[0].foreign, np.sort(closeness_of(found)), atol=1e-5)
    assert (made.pairs.of, made.pairs.compared) == ("general sentences", 499_500)  # of few items
    pairs = distances(asked, asked, metric)[np.triu_indices(1000, 1)]
    for far in made.pairs.distances[made.pairs.distances != 0][::50].tolist():
        assert made.pairs.percentile(far) == pytest.approx(100 * (pairs > far + 1e-5).mean(), abs=0.1)


@pytest.mark.parametrize(("count", "of"), [(199, "general sentences"), (200, "")])
def test_pairs_of_few_items_say_nothing(make_searcher, count, of):
    """Under 200 items the random pairs are those of general sentences, and it is said; then their own."""
    searcher = make_searcher(fakes.many(count))
    facts = searcher.manifest.artifacts.scale
    assert (facts.pairs_of, facts.pairs) == (of, 499_500 if of else 19_900)
    results = searcher.search("abcd")
    note = "The random pairs are of general sentences, as the index has under 200 items."
    assert results.note == (note if of else "")
    assert results[0].label is not None
    pairs = searcher.build.scale.pairs
    assert results[0].percentile == pytest.approx(pairs.percentile(results[0].distance))


def test_the_limit_among_a_share_is_that_of_fewer_items(make_searcher):
    """How close answers are among a half of the items is what half of the items give."""
    entries = fakes.many(400)
    scale = make_searcher(entries).build.scale
    assert scale.shares[:3] == (1, 0.5, 0.25)
    whole, half = scale.answers[0], scale.answers[1]
    fewer = make_searcher(entries[::2], name="half").build.scale.answers[0]
    assert np.median(whole.foreign) < np.median(half.foreign)
    for quantile in (0.1, 0.5, 0.9):
        for one, other in ((half.foreign, fewer.foreign), (half.items, fewer.items)):
            assert np.quantile(one, quantile) == pytest.approx(np.quantile(other, quantile), rel=0.1)


def asked(path, letters, count=150):
    """Write a file of random texts of some letters; return its path."""
    draw = np.random.default_rng(len(letters))
    path.write_text("".join("".join(draw.choice(list(letters), 9)) + f" {at}\n" for at in range(count)))
    return path


def test_queries_that_belong_set_the_limit(make_build, calibrated, tmp_path):
    """`own` sets the limit to the asked error, both rates are measured, and rebuilds keep the limit."""
    make_build(fakes.many())
    own, foreign = asked(tmp_path / "own.txt", "abcdefgh"), asked(tmp_path / "foreign.txt", "uvwxyza")
    index = calibrated(own=own, background=foreign, lost=0.1)
    facts, scale = index.manifest.artifacts.scale, index.build.scale
    assert (facts.own.of, facts.own.count, facts.own.allowed) == (str(own), 150, 0.1)
    assert scale.limit == pytest.approx(np.quantile(scale.answers[0].own, 0.9))
    assert (scale.answers[0].own > scale.limit).mean() == pytest.approx(0.1, abs=0.01)
    assert 0.02 < facts.own.lost < 0.2
    assert facts.own.flagged > 0.95
    again = make_build([*fakes.many(), fakes.text("kiwi", "kiwi")])
    assert again.manifest.artifacts.scale.own.count == 150
    assert len(again.scale.answers[0].own) == 150
    assert again.scale.strictness.lost == 0.1
    strict = calibrated(strictness=0.97)  # in place of the queries that belong
    assert strict.manifest.artifacts.scale.own is None
    assert strict.manifest.artifacts.scale.stated_rate == pytest.approx(0.03, abs=0.03)
    assert make_build(fakes.many()).scale.strictness.flagged == 0.97


def test_queries_that_no_model_reads_are_listed(make_build, calibrated, tmp_path):
    """Of `own` and `foreign` what can't be read is rejected, counted and named; the others set the limit."""
    make_build(fakes.many())
    own, foreign = asked(tmp_path / "own.txt", "abcdefgh"), asked(tmp_path / "foreign.txt", "uvwxyza")
    with own.open("a") as file:
        file.write("\n".join([f"own {fakes.UNREADABLE}", *[f"{at} {fakes.UNREADABLE}" for at in range(11)]]))
    with foreign.open("a") as file:
        file.write(f"foreign {fakes.UNREADABLE}\n")
    told = fakes.Told()
    facts = calibrated(own=own, background=foreign, progress=told).manifest.artifacts.scale
    assert (facts.own.count, facts.background.count) == (150, 150)
    assert told.stages[:2] == [
        f"1 of 151 queries ({foreign}) were rejected",
        f"rejected 'foreign {fakes.UNREADABLE}': the text holds a skull",
    ]
    assert told.stages[2:4] == [
        f"12 of 162 queries ({own}) were rejected",
        f"rejected 'own {fakes.UNREADABLE}': the text holds a skull",
    ]
    assert told.stages[13:] == ["and 2 more"]


def test_records_of_a_table_that_can_not_be_read_are_listed(make_build, calibrated, tmp_path):
    """What the source itself rejects is named by its place in the file."""
    make_build(fakes.many())
    path = tmp_path / "foreign.jsonl"
    lines = [json.dumps({"text": f"uvw {at}"}) for at in range(120)]
    path.write_text("\n".join([*lines[:5], '{"text": ', *lines[5:]]))
    told = fakes.Told()
    facts = calibrated(background=path, progress=told).manifest.artifacts.scale
    assert facts.background.count == 120
    assert told.stages[0] == f"1 of 121 entries of {path} were rejected"
    assert told.stages[1].startswith("rejected 'foreign.jsonl:6': ")


def test_pairs_that_no_model_reads_are_listed(make_build, calibrated, tmp_path):
    """A judged pair of which one text can't be read is rejected and named by that text."""
    pytest.importorskip("scipy")
    make_build(fakes.many())
    rows = [f"{'a' * (at % 5 + 1)}b,{'a' * (at % 3 + 1)}c,{at % 4}" for at in range(24)]
    rows[3:3] = [f"abc,c {fakes.UNREADABLE},2", f"d {fakes.UNREADABLE},abc,3"]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["text1,text2,score", *rows]))
    told = fakes.Told()
    facts = calibrated(pairs=path, progress=told).manifest.artifacts.scale
    assert facts.people.pairs == 24
    assert told.stages == [
        f"2 of 26 pairs of {path} were rejected",
        f"rejected 'c {fakes.UNREADABLE}': the text holds a skull",
        f"rejected 'd {fakes.UNREADABLE}': the text holds a skull",
    ]


def test_both_rates_stand_in_the_build(make_build):
    """A build keeps which share of its own is lost, and says both rates where there is a verdict."""
    build = make_build(fakes.many(400))
    facts, answers = build.manifest.artifacts.scale, build.scale.answers[0]
    limit = answers.limit(build.scale.strictness)
    assert facts.lost == pytest.approx((answers.items > limit).mean(), abs=1e-4)
    assert make_build(fakes.many(100), name="few").manifest.artifacts.scale.lost is None
    flagged, lost = shown_rate(1 - answers.rate(limit)), shown_rate(answers.lost(limit))
    assert build.scale.rates == (
        f"{flagged} of unrelated queries are told that nothing is close, {lost} of those that belong"
    )
    assert replace(build.scale, unjudged="No.").rates == ""


def test_the_rates_of_an_older_build_are_those_of_today(make_build, tmp_path, monkeypatch):
    """The limit is computed when a build is opened; what its manifest says was measured with another."""
    with monkeypatch.context() as older:
        older.setattr(verdict, "FOREIGN_RATE", 0.5)
        stated = make_build(fakes.many(400)).manifest.artifacts.scale.stated_rate
    build = open_build(tmp_path, "small")
    limit = build.scale.answers[0].limit(build.scale.strictness)
    rate = build.scale.answers[0].rate(limit)
    assert stated - rate > 0.1
    told = f"{shown_rate(1 - rate)} of unrelated queries are told that nothing is close, "
    assert told in background_of(build.manifest, build.manifest.artifacts.scale, build.scale)
    assert told in CliRunner().invoke(cli, ["info", "small", "--indexes", str(tmp_path)]).output
    printed = CliRunner().invoke(cli, ["info", "small", "--indexes", str(tmp_path), "--json"]).stdout
    assert json.loads(printed)["additions"]["scale"]["stated_rate"] == pytest.approx(rate)


def test_a_limit_is_asked_for_in_one_way(make_build, calibrated, tmp_path):
    """Both ways at once, a share of nothing, and words are refused."""
    make_build(fakes.many())
    own = asked(tmp_path / "own.txt", "abc")
    for options, told in (
        ({"own": own, "strictness": 0.9}, "each of them sets the limit"),
        ({"lost": 0.1}, "give these with"),
        ({"strictness": 1.5}, "over 0 and under 1"),
    ):
        with pytest.raises(QueryError, match=told):
            calibrated(**options)
    make_build([fakes.text("a", "The cat sat.")], unit=Unit.WORD, replace_old=True)
    with pytest.raises(QueryError, match="There is no verdict for words"):
        calibrated(strictness=0.9)


def test_images_have_no_labels_until_others_are_named(colours, tmp_path, calibrated):
    """Under 200 images there is no label and the reason is said; pairs of unrelated images give labels."""
    results = colours.search(es.MoreLike("red"))
    assert {hit.label for hit in results} == {None}
    assert results.note.startswith("Hits have no labels: the index has under 200 items")
    folder = tmp_path / "others"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for at in range(120):
        Image.new("RGB", (4, 4), tuple(draw.integers(0, 256, 3).tolist())).save(folder / f"{at}.png")
    index = calibrated(background=folder)
    found = index.search(es.MoreLike("red"))
    assert found[0].label is not None
    assert (
        found.note
        == f"The random pairs are of the unrelated images of {folder}, as the index has under 200 items."
    )


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


def test_images_have_no_background(colours):
    """An index of images gives percentiles, and no verdict; it says why."""
    answer = colours.search(es.MoreLike("red"))
    assert (answer.verdict, answer.foreign_rate) == (None, None)
    assert answer.reason == "There is no verdict: no unrelated queries were measured in this index."
    assert answer.hits[0].percentile is not None
    assert colours.manifest.artifacts.scale.background is None


def test_words_are_asked_for_words(make_searcher):
    """The background of a word index is a word in each sentence; words get percentiles and no verdict."""
    searcher = make_searcher([fakes.text("a", "The cat sat."), fakes.text("b", "dog den")], unit=Unit.WORD)
    assert 500 < searcher.manifest.artifacts.scale.background.count <= 1000
    assert all(len(each.spans) == 1 for each in general(Unit.WORD))
    results = searcher.search(es.MoreLike("a#4"))
    assert (results.verdict, results.foreign_rate, results.limit) == (None, None, None)
    assert results.reason.startswith("There is no verdict for words")
    assert results[0].percentile is not None
    assert searcher.manifest.artifacts.scale.unjudged == results.reason


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
    items = searcher.build.scale.answers[0].items
    assert len(items) == 13
    assert (items == items[0]).sum() == 3


def test_without_unrelated_queries_nothing_is_asked(tmp_path):
    """Where none are known there is no verdict, so no item looks for its nearest; pairs give labels."""
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    make_scale(None, vectors, Metric.COSINE).save(tmp_path / "scale.npz")  # no backend: it would fail
    scale = Scale.load(tmp_path / "scale.npz", 300 * 299 // 2)
    assert [len(each.items) for each in scale.answers] == [0] * len(scale.shares)
    assert scale.pairs.percentile(0.0) == pytest.approx(100, abs=0.1)
    judged = scale.judge([0.1, 0.2, 0.3], share=0.01)
    assert (judged.verdict, judged.reason) == (None, UNMEASURED)


def test_another_background_is_kept_by_rebuilds(make_build, calibrated, tmp_path):
    """`--background` replaces the sentences, and later builds keep it."""
    make_build(fakes.fruit_entries())
    file = tmp_path / "own.txt"
    file.write_text("\n".join(f"{'xyz'[at % 3]} {at}" for at in range(150)))
    told = calibrated(background=file).manifest.artifacts.scale.background
    assert told == BackgroundFacts(str(file), 150)
    again = make_build([*fakes.fruit_entries(), fakes.text("kiwi", "kiwi")])
    assert again.manifest.artifacts.scale.background == told
    assert len(again.scale.answers[0].foreign) == 150


def test_a_small_or_other_background_is_refused(tmp_path):
    """Fewer than 100 texts, or images for texts, are told."""
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(SourceError, match="holds 2 texts; 100 or more are needed"):
        read_background(tmp_path / "few.txt", Unit.TEXT, Silent())
    with pytest.raises(SourceError, match="queries of images were expected"):
        read_background(tmp_path / "few.txt", Unit.IMAGE, Silent())


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
    made = [make_scale(searcher.build.backend, searcher.build.vectors, Metric.COSINE) for _ in range(2)]
    np.testing.assert_array_equal(made[0].pairs.distances, made[1].pairs.distances)


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
    assert f"to measure it again: embedsearch calibrate small --pairs {pairs} --foreign {own}" in told.stages
    assert (again.manifest.artifacts.scale.people, again.scale.people.shape) == (None, (2, 0))
