import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.analysis.evaluate import evaluate
from embedsearch.artifacts import crossmodal
from embedsearch.artifacts.scale import general
from embedsearch.backends import faiss_ann
from embedsearch.crossmodal.aligned import about
from embedsearch.crossmodal.class_names import project, text_vectors
from embedsearch.demo.indexes import STAMPS
from embedsearch.distances.metric import Metric, normalized
from embedsearch.encoders.class_head import find_class_head
from embedsearch.errors import EncoderMismatchError, ModelError, QueryError, RecipeError, SourceError
from embedsearch.index import Index
from embedsearch.query import Text
from embedsearch.records import Unit
from embedsearch.store.facts import AlignFacts, ConseFacts, CrossmodalFacts
from tests import fakes


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    """A folder of a few Tux Paint stamps of different kinds, with their captions."""
    root = next((path for path in STAMPS if path.is_dir()), None)
    if root is None:
        pytest.skip("the Tux Paint stamps are not installed")
    folder = tmp_path_factory.mktemp("stamps")
    for path in sorted(root.rglob("*.png"))[::40]:
        shutil.copy(path, folder)
        caption = path.with_suffix(".txt")
        if caption.is_file():
            shutil.copy(caption, folder)
    return folder


@pytest.fixture(scope="module")
def pictures(stamps, tmp_path_factory):
    """An index of them by the bundled model."""
    folder = tmp_path_factory.mktemp("indexes")
    return es.build(stamps, name="stamps", precision="fp32", captions="", indexes=folder)


def test_texts_that_search_images_are_embedded_together(pictures, stamps, monkeypatch):
    """Several texts go through the text model in one call, and find what each finds alone, to 1e-6."""
    texts = ["an insect with wings", "a letter", "a fast car"]
    alone = [pictures.search(text, 3) for text in texts]
    encoder, asked = pictures.crossmodal._encoder, []
    prepare = encoder.prepare
    monkeypatch.setattr(
        encoder, "prepare", lambda items, role: asked.append(len(items)) or prepare(items, role)
    )
    together = pictures.search([*texts, next(stamps.glob("*.png"))], 3)
    assert asked == [3]
    for ours, theirs in zip(together, alone, strict=False):
        assert [hit.id for hit in ours] == [hit.id for hit in theirs]
        np.testing.assert_allclose(
            [hit.distance for hit in ours], [hit.distance for hit in theirs], rtol=0, atol=1e-6
        )


def test_a_text_finds_images_by_class_names(pictures):
    """With nothing said, an index of the bundled model is asked with texts: places are those of ConSE."""
    assert (pictures.crossmodal.by, pictures.crossmodal.asks.value) == ("conse", "text")
    hits = pictures.search("an insect with wings", 3)
    text = es.load_encoder("all-MiniLM-L6-v2", precision="fp32")
    class_head = find_class_head(pictures.encoder.spec)
    names = text_vectors(class_head.names, text.spec.fingerprint, lambda: text)
    centre = names.mean(0)
    placed = project(class_head.logits(np.asarray(pictures.build.vectors)), names, centre)
    asked = normalized(normalized(text.encode(["an insect with wings"])) - centre)
    far = 1 - (placed @ asked.T)[:, 0]
    order = np.argsort(far)[:3]
    assert [hit.id for hit in hits] == [pictures.build.items["id"][int(row)].as_py() for row in order]
    np.testing.assert_allclose([hit.distance for hit in hits], far[order], atol=1e-5)
    space = pictures.queries.space(Text("an insect"))
    assert (space.by, space.metric, fakes.all_of(space).shape) == (
        "conse",
        Metric.COSINE,
        (len(pictures), 384),
    )
    assert pictures.manifest.artifacts.crossmodal.index.recall == 1.0


def test_texts_have_a_scale_of_their_own(pictures):
    """Percentiles of a text's hits are among unrelated texts and images; class names give no verdict."""
    answer = pictures.search("an insect with wings", 3)
    text = es.load_encoder("all-MiniLM-L6-v2", precision="fp32")
    asked = normalized(text.encode(general(Unit.TEXT), "query"))
    centre = normalized(np.asarray(pictures.crossmodal._projection.names)).mean(0)
    asked = normalized(asked - centre)
    apart = 1 - asked @ fakes.all_of(pictures.crossmodal).T
    for hit in answer.hits:
        assert hit.percentile == pytest.approx(100 * (apart > hit.distance).mean(), abs=0.3)
    assert (answer.verdict, answer.foreign_rate, answer.limit) == (None, None, None)
    assert answer.reason.startswith("There is no verdict for texts that find images by class names")


def test_what_serves_is_said_for_what_has_a_share():
    """Class names are named beside captions only where they have a share in the places."""
    fitted = AlignFacts("a file", 31, 31, 0, 31, strength=0.1, share=1.0, asked=31, answers=31, measured={})
    facts = CrossmodalFacts("align", conse=ConseFacts(1000, 2.0, 50), align=fitted)
    assert about(facts) == "by an alignment with 31 captions"
    facts = replace(facts, align=replace(fitted, share=0.5))
    assert about(facts) == "by an alignment with 31 captions and class names"


def test_images_are_compared_as_before(pictures):
    """An image and an item are compared in the index's own space, and an empty text is refused."""
    path = pictures.item(pictures.build.items["id"][0].as_py()).path
    hit = pictures.search(es.Image(path), 1)[0]
    assert (hit.id, hit.distance < 1e-4) == (pictures.build.items["id"][0].as_py(), True)
    assert pictures.queries.space(es.Image(path)).by == ""
    with pytest.raises(QueryError, match="empty"):
        pictures.search(" ")


def test_a_text_is_added_to_an_image(pictures):
    """Of an item and a text, both are compared in the texts' space: their unit vectors, weighted, added."""
    item = pictures.build.items["id"][2].as_py()
    asked = es.Query((es.WeightedTerm(es.MoreLike(item)), es.WeightedTerm("an insect", 0.5)))
    space = pictures.queries.space(asked)
    places = fakes.all_of(space)
    want = places[2] + 0.5 * pictures.queries.space(Text("an insect")).vector[0]
    np.testing.assert_allclose(space.vector[0], want, atol=1e-4)
    hits = pictures.search(asked, 3)
    assert hits.by == "conse"
    assert item not in [hit.id for hit in hits.hits]


def test_a_text_is_explained_by_where_patches_lie(pictures):
    """Each patch scores as if it were an image placed alone; the average item takes nothing off."""
    hit = pictures.search("an insect", 1)[0]
    made = pictures.explain("an insect", hit)
    apart = pictures.encoder.hidden_states(Path(hit.path))
    query = pictures.queries.space(Text("an insect")).vector[0]
    alone = pictures.crossmodal.project(apart.rows) @ query  # (81, e) (e,) -> (81,)
    np.testing.assert_allclose(made.grid.ravel(), alone / 81, atol=1e-6)
    np.testing.assert_array_equal(made.heat, made.grid)
    assert (made.exact, made.typical, made.kind) == (False, None, "image")
    assert made.note.startswith("An approximation: the image was found by its projection among texts.")
    assert made.recomputed == pytest.approx(hit.distance, abs=1e-3)
    assert made.similarity == pytest.approx(1 - made.recomputed, abs=1e-5)


def test_a_filter_holds_for_texts_too(pictures):
    """What a filter keeps is all that a text finds."""
    wanted = pictures.build.items["id"][3].as_py()
    hits = pictures.search("anything", 5, where=f"file = '{wanted}'")
    assert [hit.id for hit in hits] == [wanted]


def test_a_build_needs_no_text_model(stamps, tmp_path, monkeypatch):
    """Where the text model can't be loaded the index is made all the same, without the crossmodal."""

    def fails(*_):
        raise ModelError("there is no text model")

    monkeypatch.setattr(crossmodal, "encoder_spec", fails)
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(next(stamps.glob("*.png")), few)
    searcher = es.build(few, name="few", precision="fp32", indexes=tmp_path / "indexes")
    assert searcher.manifest.artifacts.crossmodal is None
    assert searcher.crossmodal is None
    with pytest.raises(QueryError, match="embedsearch align few"):
        searcher.search("a text")


def test_a_rebuild_places_new_images(stamps, tmp_path, monkeypatch):
    """New images are placed as the old ones were; no text model is loaded for it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = sorted(stamps.glob("*.png"))[:6]
    for path in paths[:4]:
        shutil.copy(path, folder)
    first = es.build(folder, name="some", precision="fp32", indexes=tmp_path / "indexes")
    before = fakes.all_of(first.queries.space(Text("a")))
    for path in paths[4:]:
        shutil.copy(path, folder)
    (folder / paths[0].name).unlink()
    monkeypatch.setattr(crossmodal, "open_encoder", None)
    second = es.rebuild("some", allow_removal=True, indexes=tmp_path / "indexes")
    after = fakes.all_of(second.queries.space(Text("a")))
    np.testing.assert_array_equal(after[:3], before[1:])
    shutil.copy(paths[0], folder)
    anew = es.build(folder, name="anew", precision="fp32", indexes=tmp_path / "indexes")
    np.testing.assert_allclose(after, fakes.all_of(anew.queries.space(Text("a")))[1:], atol=1e-5)


@pytest.mark.usefixtures("stamps")
def test_a_text_index_is_asked_with_an_image(tmp_path):
    """An image finds texts by the names of what is in it, in the index's own space."""
    source = tmp_path / "texts.txt"
    source.write_text(
        "a strawberry or another sweet fruit\nhow to file a tax return\nhow to play the piano\n"
    )
    texts = es.build(source, name="texts", indexes=tmp_path / "indexes", precision="fp32")
    assert (texts.crossmodal.by, texts.crossmodal.asks.value) == ("conse", "image")
    root = next(path for path in STAMPS if path.is_dir())
    fruit = root / "food" / "fruit" / "strawberry.png"
    hits = texts.search(es.Image(fruit), 3)
    assert hits[0].text == "a strawberry or another sweet fruit"
    assert texts.queries.space(es.Image(fruit)).backend is texts.build.backend
    made = texts.explain(es.Image(fruit), hits[0])
    assert made.exact
    assert made.score == pytest.approx(1 - hits[0].distance, abs=1e-4)
    assert max(made.words, key=lambda part: part.score).text in {"strawberry", "fruit"}


@pytest.mark.usefixtures("stamps")
@pytest.mark.scale
def test_a_text_index_by_inner_product_is_asked_with_an_image(tmp_path):
    """A place is made as long as the texts are, so that parts count alike; no percentile is told."""
    source = tmp_path / "texts.txt"
    source.write_text("a strawberry\nhow to file a tax return\nhow to play the piano\n")
    root = next(path for path in STAMPS if path.is_dir())
    fruit = es.Image(root / "food" / "fruit" / "strawberry.png")
    found = {}
    for metric in ("cosine", "ip", "l2"):
        texts = es.build(source, name=metric, metric=metric, indexes=tmp_path / "indexes", precision="fp32")
        if metric == "l2":
            with pytest.raises(QueryError, match="Images find texts where the metric is cosine or ip"):
                texts.search(fruit)
        else:
            found[metric] = texts.search(fruit, 3)
    assert [hit.text for hit in found["ip"].hits] == [hit.text for hit in found["cosine"].hits]
    assert found["cosine"].hits[0].percentile > 0
    assert {(hit.percentile, hit.label) for hit in found["ip"].hits} == {(None, None)}
    texts = es.open("ip", tmp_path / "indexes")
    length = np.linalg.norm(texts.queries.space(fruit).vector)
    assert length == pytest.approx(np.median(np.linalg.norm(texts.build.vectors, axis=1)), rel=1e-5)


@pytest.fixture
def towers(small_model, tmp_path):
    """An index of four plain images made with a small CLIP, and CLIP's folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, value in fakes.COLOURS.items():
        Image.new("RGB", (40, 40), value).save(folder / f"{name}.png")
    model = shutil.copytree(small_model("clip"), tmp_path / "clip")
    return es.build(folder, name="towers", model=str(model), indexes=tmp_path / "indexes"), model


def test_two_towers_need_no_places(towers):
    """With CLIP a text is compared with the images' own vectors, by the cosine of the two projections."""
    searcher, model = towers
    assert (searcher.crossmodal.by, searcher.manifest.dimension) == ("towers", 16)
    assert searcher.manifest.artifacts.crossmodal == CrossmodalFacts("towers", files=("bridge-scale.npz",))
    hits = searcher.search("a cat sleeps", 4)
    text = es.load_encoder(str(model), unit="text", precision="fp32").encode(["a cat sleeps"])
    far = 1 - normalized(np.asarray(searcher.build.vectors)) @ normalized(text)[0]
    assert [hit.distance for hit in hits] == pytest.approx(sorted(far), abs=1e-5)


def test_a_text_is_explained_by_patches_of_two_towers(towers):
    """What a text finds through its tower can be explained, and it is said to be an approximation."""
    searcher, _ = towers
    hit = searcher.search("a cat sleeps", 1)[0]
    made = searcher.explain("a cat sleeps", hit)
    assert (made.exact, made.note.startswith("An approximation: this model pools")) == (False, True)
    assert made.recomputed == pytest.approx(hit.distance, abs=5e-3)
    assert made.score == pytest.approx(
        float(made.grid.sum() + sum(part.score for part in made.rest)), abs=1e-4
    )


def test_texts_that_find_images_are_measured(towers, tmp_path):
    """`eval --queries` asks an index of images across the crossmodal; exact search misses nothing there."""
    searcher, _ = towers
    path, judged = tmp_path / "queries.tsv", tmp_path / "qrels"
    path.write_text("1\ta cat\n2\ta bank\n")
    best = [searcher.search(text, 1)[0].id for text in ("a cat", "a bank")]
    judged.write_text(f"1 0 {best[0]} 1\n2 0 {best[1]} 1\n")
    told = evaluate(searcher, queries=path, qrels=judged, k=2, filters=True)
    assert (told["recall"], told["judged"]["MRR"], told["asked"]) == (1, 1, f"2 queries of {path}")
    assert [each["recall"] for each in told["filters"]] == [1, 1, 1, 1]
    path.write_text("id\ttext\n")
    with pytest.raises(SourceError, match="holds no query"):
        evaluate(searcher, queries=path)


def test_another_checkpoint_is_refused(towers):
    """Where one of the checkpoint's files was changed, texts are no longer comparable, and that is said."""
    searcher, model = towers
    config = model / "tokenizer_config.json"
    config.write_text(config.read_text().replace("128", "127"))
    with pytest.raises(EncoderMismatchError, match="embedsearch rebuild towers"):
        searcher.search("a cat")


def test_texts_of_two_towers_are_asked_with_images(small_model, tmp_path):
    """A text index made with CLIP's text tower is asked through its image tower."""
    source = tmp_path / "texts.txt"
    source.write_text("a cat\na bank\na path\n")
    model = small_model("clip").as_posix()
    searcher = es.build(source, name="texts", unit="text", model=model, indexes=tmp_path / "indexes")
    picture = Image.new("RGB", (40, 40), (200, 30, 30))
    hits = searcher.search(picture, 3)
    seen = es.load_encoder(model, precision="fp32").encode([picture])
    far = 1 - normalized(np.asarray(searcher.build.vectors)) @ normalized(seen)[0]
    assert [hit.distance for hit in hits] == pytest.approx(sorted(far), abs=1e-5)


def test_images_are_tuned_with_texts(small_model, tmp_path, monkeypatch):
    """An approximate index of images is tuned with texts where there are some, and tells their recall."""
    random = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(120):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    monkeypatch.setattr(faiss_ann, "LEAST", 20)
    queries = tmp_path / "queries.tsv"
    queries.write_text("".join(f"{at}\ta photo of {at} cats\n" for at in range(50)))
    model = small_model("clip").as_posix()
    built = es.build(
        folder, name="many", model=model, backend="hnsw", queries=queries, indexes=tmp_path / "indexes"
    )
    assert (built.manifest.index.queries, built.manifest.index.recall >= 0.95) == (50, True)
    tower = es.load_encoder(model, unit="text", precision="fp32")
    want = tower.encode([f"a photo of {at} cats" for at in range(50)])
    np.testing.assert_allclose(np.load(built.build.folder / "queries.npy"), want, atol=1e-4)
    told = built.manifest.artifacts.crossmodal.index
    assert (told.asked, told.queries) == ("texts", 200)
    assert 0.5 <= told.recall <= 1


def test_queries_that_nothing_embeds_are_refused(small_model, stamps, tmp_path):
    """A model without a text tower takes no queries, and that is said before anything is embedded."""
    queries = tmp_path / "queries.tsv"
    queries.write_text("1\ta cat\n")
    with pytest.raises(RecipeError, match="Leave --queries out"):
        es.build(
            stamps, name="no", model=str(small_model("vit")), queries=queries, indexes=tmp_path / "indexes"
        )


@pytest.mark.scale
def test_an_image_among_texts_has_percentiles_alone(stamps, tmp_path):
    """Hits of an image among texts stand among pairs of texts; no verdict is given, nor what people say."""
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(["a bird", "a train", "a piano", "an apple", "a castle"]) + "\n")
    texts = es.build(source, name="few", precision="fp32", indexes=tmp_path / "indexes")
    answer = texts.search(next(stamps.glob("*.png")), 3)
    assert (answer.by, answer.verdict, answer.foreign_rate) == ("conse", None, None)
    for hit in answer.hits:
        assert hit.percentile == pytest.approx(texts.build.scale.pairs.percentile(hit.distance))
        assert hit.human_score is None


def test_words_and_lengths_have_no_bridge(terms, make_searcher):
    """Words in their sentence, and texts by Euclidean distance, are not asked with images."""
    assert terms.crossmodal is None
    assert make_searcher(fakes.fruit_entries(), name="fruits", metric="l2").crossmodal is None


def test_a_fake_has_no_class_head(colours):
    """An encoder that is no model on disk gets no crossmodal, and nothing is looked up for it."""
    assert colours.crossmodal is None
    with pytest.raises(QueryError, match="embedsearch align small"):
        colours.search("red")


def test_an_image_that_nothing_names_is_refused(fruits):
    """A text index whose loader gives no class head refuses images in words."""
    searcher = Index(fruits.build, fakes.LetterEncoder)
    assert searcher.manifest.unit is Unit.TEXT
    with pytest.raises(QueryError, match="no class head"):
        searcher.search(Image.new("RGB", (4, 4)))
