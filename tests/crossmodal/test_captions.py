"""Texts asked of images are compared with the images' captions too."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch.artifacts import captions as artifact
from embedsearch.cli import cli
from embedsearch.distances.pairs import Pairs
from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import Answers, Judgement, Verdict
from embedsearch.search.fused import Looked, fused, judged

CAPTIONS = {
    "one": "my grandmother's wedding in Lisbon",
    "two": "the committee votes on the budget",
    "three": "rain over the harbour at night",
    "four": "",
}


def write(folder, captions):
    """Write an image of noise for each name, its caption beside it, as a folder of images."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(0)
    for name, caption in captions.items():
        pixels = draw.integers(0, 256, (40, 40, 3), np.uint8)
        if not (folder / f"{name}.png").exists():
            Image.fromarray(pixels).save(folder / f"{name}.png")
        if caption:
            (folder / f"{name}.txt").write_text(caption, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """An index of four images, three of them with captions."""
    root = tmp_path_factory.mktemp("album")
    folder = write(root / "images", CAPTIONS)
    return es.build(folder, name="album", precision="fp32", engine="torch", indexes=root / "indexes")


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_caption_typed_word_for_word_finds_its_image(album, name):
    """An image's own caption finds it first, at distance 0, and the hit says that its caption did."""
    results = album.search(CAPTIONS[name])
    hit = results[0]
    assert (hit.id, hit.found_by) == (f"{name}.png", "caption")
    assert hit.distance == pytest.approx(0, abs=1e-5)
    assert hit.percentile == pytest.approx(100, abs=1e-3)
    assert results.verdict is not Verdict.NOTHING_CLOSE
    assert sorted(each.id for each in results) == ["four.png", "one.png", "three.png", "two.png"]
    assert next(each for each in results if each.id == "four.png").found_by == "image"


def test_judged_queries_count_captions(album, tmp_path):
    """An image that its caption alone finds counts as found; a query that no model reads is listed."""
    pytest.importorskip("ir_measures")
    names = ["one", "two", "three"]
    (tmp_path / "q.tsv").write_text("".join(f"{n}\t{CAPTIONS[n]}\n" for n in names) + "odd\t\u13a3\n")
    (tmp_path / "r.tsv").write_text("".join(f"{n}\t{n}.png\t1\n" for n in [*names, "odd"]))
    told = album.evaluate(queries=tmp_path / "q.tsv", qrels=tmp_path / "r.tsv")
    assert told["judged"] == {"queries": 3, "nDCG@10": 1, "MRR": 1, "recall@100": 1}
    assert [each["id"] for each in told["rejected"]] == ["odd"]
    assert "can read none of it" in told["rejected"][0]["reason"]


def test_several_texts_are_compared_with_captions_as_each_alone(album):
    """A list of texts has the hits that each has alone, by image and by caption."""
    asked = list(CAPTIONS.values())[:3]
    for results, text in zip(album.search(asked, 4), asked, strict=True):
        alone = album.search(text, 4)
        assert [(hit.id, hit.found_by) for hit in results] == [(hit.id, hit.found_by) for hit in alone]


def test_a_filter_and_an_excluded_item_hold_for_captions(album):
    """What a filter rejects, or the query itself is made of, is not found by its caption either."""
    kept = album.search(CAPTIONS["one"], where={"caption": [CAPTIONS["two"], CAPTIONS["three"]]})
    assert "one.png" not in [hit.id for hit in kept]
    both = es.Query((es.WeightedTerm(CAPTIONS["one"]), es.WeightedTerm(es.MoreLike("one.png"), 0.1)))
    assert "one.png" not in [hit.id for hit in album.search(both)]


def test_images_and_items_are_not_compared_with_captions(album):
    """Only what comes from a text is looked for among captions."""
    assert {hit.found_by for hit in album.similar("one.png")} == {""}


def test_a_rebuild_embeds_new_captions_alone(tmp_path, monkeypatch):
    """Vectors of unchanged captions are kept; a changed one is embedded, and a removed one is gone."""
    folder = write(tmp_path / "images", CAPTIONS)
    index = es.build(folder, name="album", precision="fp32", engine="torch", indexes=tmp_path / "indexes")
    assert index.manifest.artifacts.crossmodal.captions.embedded == 3
    embedded = []
    real = artifact._embedded
    monkeypatch.setattr(
        artifact,
        "_embedded",
        lambda encoder, texts, place: embedded.extend(texts) or real(encoder, texts, place),
    )
    (folder / "two.txt").write_text("a dog barks", encoding="utf-8")
    (folder / "three.txt").unlink()
    after = index.rebuild()
    assert embedded == ["a dog barks"]
    facts = after.manifest.artifacts.crossmodal.captions
    assert (facts.count, facts.embedded) == (2, 1)
    assert after.search("a dog barks")[0].id == "two.png"
    assert after.search(CAPTIONS["one"])[0].found_by == "caption"


def test_captions_that_the_model_does_not_know_are_left_out(tmp_path):
    """A caption of unknown tokens is not searched; without any caption there is nothing to search."""
    folder = write(tmp_path / "images", {"one": "审批流程需要经理的批准", "two": "แมวนอน"})
    index = es.build(folder, name="album", precision="fp32", engine="torch", indexes=tmp_path / "indexes")
    assert index.captions is None
    assert {hit.found_by for hit in index.search("a cat")} == {""}


def test_the_command_says_which_found_a_hit(album):
    """The command line and its JSON say whether the image or the caption found a hit."""
    root = str(album.build.folder.parents[2])
    told = CliRunner().invoke(cli, ["search", "album", CAPTIONS["two"], "--indexes", root])
    assert "found by its caption" in told.stdout
    printed = CliRunner().invoke(cli, ["search", "album", CAPTIONS["two"], "--indexes", root, "--json"])
    assert '"found_by": "caption"' in printed.stdout


def some_scale(pairs):
    """A scale of random pairs at these distances, equally many at each."""
    none = np.empty(0, np.float32)
    pairs = np.array([0, *pairs], np.float32)
    shares = np.linspace(0, 1, len(pairs)).astype(np.float32)
    known = Answers(none, none, none)
    return Scale(Pairs(pairs, shares, 499_500), (1.0,), (known,), np.empty((2, 0), np.float32))


def looked(place, scale, verdict, rate, limit=None, **far):
    """What was found in one place: items a, b, ... that are so far away; their rows are 0, 1, ..."""
    rows = [ord(name) - ord("a") for name in far]
    return Looked(place, [*far.values()], rows, scale, Judgement(verdict, rate, limit, place))


def test_answers_are_fused_by_percentile():
    """Each item stands once, where its higher percentile puts it; one close answer makes the whole close."""
    image = looked("image", some_scale([0.5, 1.0]), Verdict.NOTHING_CLOSE, 0.5, a=0.2, b=0.4, c=0.9)
    caption = looked("caption", some_scale([1.0, 2.0]), Verdict.CLOSE, 0.1, c=0.1, b=0.8)
    # percentiles: a 80, b 60 or 60, c 10 or 95
    assert [(each.row, each.looked.place) for each in fused((image, caption))] == [
        (2, "caption"),
        (0, "image"),
        (1, "image"),
    ]
    decisive, judgement = judged((image, caption))
    assert (decisive, judgement.verdict, judgement.foreign_rate) == (caption, Verdict.CLOSE, 0.6)


def test_nothing_is_close_only_where_both_say_so():
    """An answer that is not judged in one place is not called far because of the other."""
    near = some_scale(np.linspace(0, 4, 400))
    far = looked("image", near, Verdict.NOTHING_CLOSE, 0.5, 0.1, a=0.2)
    unjudged = looked("caption", near, None, None, b=0.9)
    decisive, one = judged((far, unjudged))
    assert (decisive, one.verdict, one.foreign_rate, one.limit) == (unjudged, None, None, None)
    _, both = judged((far, replace(far, place="caption")))
    assert (both.verdict, both.foreign_rate, both.limit) == (Verdict.NOTHING_CLOSE, 1.0, 0.1)
