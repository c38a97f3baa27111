import json

import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.api import align
from embedsearch.artifacts import alignment, crossmodal
from embedsearch.crossmodal.captions import GIVEN, VECTORS, open_given
from embedsearch.crossmodal.crossval import Chosen
from embedsearch.crossmodal.projection import open_projected, open_scale
from embedsearch.distances.verdict import closeness_of
from embedsearch.errors import (
    EncoderMismatchError,
    ModelError,
    RecipeError,
    SourceError,
    SourceNotFoundError,
)
from embedsearch.index import Index
from embedsearch.query import Text
from embedsearch.records import Unit
from embedsearch.store.build import open_build
from embedsearch.store.versions import roll_back
from tests import fakes


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    """Texts are counted letters."""
    monkeypatch.setattr(alignment, "open_encoder", fakes.LetterEncoder)


def shades(folder, count=60, start=0):
    """Return plain images; the redder one is, the more r its caption has, and so with g and b."""
    random = np.random.default_rng(start)
    entries = []
    for number in range(start, start + count):
        colour = random.integers(1, 11, 3)
        path = folder / f"{number}.png"
        Image.new("RGB", (4, 4), tuple((25 * colour).tolist())).save(path)
        caption = "".join(letter * int(many) for letter, many in zip("rgb", colour, strict=True))
        entries.append(fakes.picture(f"{number}", path, caption=caption))
    return entries


@pytest.fixture
def shaded(make_build, tmp_path):
    """Sixty plain images with captions."""
    entries = shades(tmp_path)
    return make_build(entries, unit=Unit.IMAGE), entries


@pytest.mark.usefixtures("shaded")
def test_captions_find_their_images(tmp_path):
    """After align a text finds the image that it describes, by the cosine in the texts' space."""
    aligned = Index(align("small", indexes=tmp_path).build, fakes.LetterEncoder)
    assert (aligned.crossmodal.by, aligned.crossmodal.about) == ("align", "by an alignment with 59 captions")
    facts = aligned.manifest.artifacts.crossmodal
    assert facts.align.source == "the field caption"
    assert facts.align.measured["ridge"]["recall@5"] > 0.8
    assert (facts.align.pairs, facts.align.share) == (60, 1.0)
    hits = aligned.search("rrrrrrrrrrgb", 5)
    found = np.array([[hit.fields["caption"].count(letter) for letter in "rgb"] for hit in hits])
    share = found[:, 0] / found.sum(1)
    assert share[0] > 0.7
    assert share.min() > 0.4
    space = aligned.queries.space(Text("rrg"))
    assert (space.by, space.metric) == ("align", "cosine")
    own = aligned.search(es.Image(tmp_path / "0.png"), 1)[0]
    assert (own.id, own.distance < 1e-5) == ("0", True)


def test_an_alignment_survives_a_rebuild(shaded, make_build, tmp_path):
    """New images are placed by the stored map; what was measured stays; rollback takes it back."""
    _, entries = shaded
    first = align("small", indexes=tmp_path)
    more = [*entries[1:], *shades(tmp_path, 3, start=100)]
    second = Index(make_build(more, unit=Unit.IMAGE), fakes.LetterEncoder)
    told, before = (build.manifest.artifacts.crossmodal for build in (second, first.build))
    assert told.align == before.align
    assert len(second) == 62
    places = fakes.all_of(second.queries.space(Text("r")))
    np.testing.assert_array_equal(places[:59], np.load(first.build.folder / "bridge.npy")[1:])
    ridge = np.load(second.build.folder / "bridge.npz")
    raw = np.asarray(second.build.vectors[59:])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    want = (unit - ridge["source"]) @ ridge["weights"]
    np.testing.assert_allclose(places[59:], want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-5)
    assert roll_back(tmp_path, "small").folder == first.build.folder


def test_vectors_of_another_encoder_lose_the_alignment(shaded, make_build, tmp_path):
    """The map is of one model's vectors: embedded by another one, the index is no longer aligned."""
    align("small", indexes=tmp_path)
    build = make_build(shaded[1], unit=Unit.IMAGE, load=fakes.version("2"))
    assert build.manifest.artifacts.crossmodal is None


@pytest.mark.usefixtures("shaded")
def test_another_text_encoder_is_refused(tmp_path):
    """A text is embedded by what the images were aligned with, and by nothing else."""
    build = align("small", indexes=tmp_path).build
    with pytest.raises(EncoderMismatchError, match="embedsearch align small"):
        Index(build, fakes.version("2")).search("rrr")


@pytest.mark.usefixtures("shaded")
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_captions_come_from_a_file(tmp_path, suffix):
    """Images are named by id, by path, or beside the file; others and empty captions are left out."""
    names = ["0", "1.png", str(tmp_path / "2.png"), "gone.png", "4", *map(str, range(5, 30))]
    said = ["r, rr", "gg", "b", "x", "", *("rgb"[n % 3] * n for n in range(5, 30))]
    path = tmp_path / f"said{suffix}"
    rows = list(zip(names, said, strict=True))
    if suffix == ".jsonl":
        lines = [json.dumps({"image": name, "caption": text}) for name, text in rows]
    else:
        mark = "," if suffix == ".csv" else "\t"
        lines = [f"caption{mark}image", *(f'"{text}"{mark}{name}' for name, text in rows)]
    path.write_text("\n".join(lines))
    facts = align("small", path, indexes=tmp_path).manifest.artifacts.crossmodal.align
    assert (facts.images, facts.pairs, facts.source) == (28, 28, str(path))


@pytest.mark.usefixtures("shaded")
def test_what_can_not_be_aligned_is_refused(make_build, tmp_path):
    """No captions, no images, too few of them, a field or file that is not there: an error in words."""
    with pytest.raises(RecipeError, match="no field 'title'"):
        align("small", field="title", indexes=tmp_path)
    with pytest.raises(SourceNotFoundError, match=r"gone\.csv"):
        align("small", tmp_path / "gone.csv", indexes=tmp_path)
    for text, message in (
        ("image,caption\nnobody,x\n", "'nobody' is none of its items"),
        ("image,caption\n0,x\n1,x\n", "1 different captions"),
        ("image,caption\n", "names no image"),
        ("picture,text\n0,x\n", "columns image and caption"),
        ("image,caption\nnobody,x\n0,x,y\n", "said.csv:3: the row does not fit the header"),
    ):
        path = tmp_path / "said.csv"
        path.write_text(text)
        with pytest.raises(SourceError, match=message):
            align("small", path, indexes=tmp_path)
    make_build(fakes.fruit_entries(), name="texts")
    with pytest.raises(RecipeError, match="only images"):
        align("texts", indexes=tmp_path)
    assert open_build(tmp_path, "small").manifest.artifacts.crossmodal is None


@pytest.mark.usefixtures("shaded")
@pytest.mark.parametrize("suffix", [".TSV", ".csv", ".JSONL"])
def test_lines_that_serve_nothing_are_told(tmp_path, suffix):
    """An open quote costs its line alone; what names no image is counted, and told of."""
    rows = [(str(n), "rgb"[n % 3] * (n + 1)) for n in range(30)] + [("gone", "x"), ("./3", "bb ")]
    path = tmp_path / f"said{suffix}"
    if suffix == ".JSONL":
        lines = [json.dumps({"image": name, "caption": text}) for name, text in rows]
        lines.insert(6, '{"image": "5", "caption": ')
    else:
        mark = "\t" if suffix == ".TSV" else ","
        lines = [f"image{mark}caption", *(f"{name} {mark}{text}" for name, text in rows)]
        lines.insert(6, f'7{mark}"5 inch nail')
    path.write_text("\n".join(lines))
    told = fakes.Told()
    facts = align("small", path, indexes=tmp_path, progress=told).manifest.artifacts.crossmodal.align
    assert (facts.pairs, facts.images, facts.rejected) == (31, 30, 2)
    said = "\n".join(told.stages)
    assert "1 of 32 captions are of no image of the index, the first of 'gone'" in said
    assert f"1 lines were rejected, the first said{suffix}:7: " in said


@pytest.fixture
def described(make_build, tmp_path):
    """Thirty plain images without captions, and a file that has two for each."""
    random = np.random.default_rng(0)
    entries, lines = [], ["image,caption"]
    for number in range(30):
        colour = random.integers(1, 11, 3)
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (4, 4), tuple((25 * colour).tolist())).save(path)
        entries.append(fakes.picture(f"{number}", path))
        said = "".join(letter * int(many) for letter, many in zip("rgb", colour, strict=True))
        lines += [f"{number},{said}", f"{number},{said}{'xyz'[number % 3]}{'w' * number}"]
    file = tmp_path / "said.csv"
    file.write_text("\n".join(lines))
    make_build(entries, unit=Unit.IMAGE)
    return entries, file


def test_captions_of_a_file_are_searched(described, make_build, tmp_path, monkeypatch):
    """A caption of a file finds its image first, which stands once; a rebuild keeps the vectors."""
    entries, file = described
    aligned = Index(align("small", file, indexes=tmp_path).build, fakes.LetterEncoder)
    assert aligned.manifest.artifacts.crossmodal.captions.count == 30
    said = [line.split(",") for line in file.read_text().splitlines()[1:]]
    results = aligned.search(said[7][1], 30)
    assert (results[0].id, results[0].found_by) == (said[7][0], "caption")
    assert results[0].distance == pytest.approx(0, abs=1e-6)
    assert len({hit.id for hit in results}) == len(results) == 30
    monkeypatch.setattr(crossmodal, "open_encoder", fakes.LetterEncoder)
    again = Index(
        make_build([*entries[1:], *shades(tmp_path, 1, start=100)], unit=Unit.IMAGE), fakes.LetterEncoder
    )
    facts = again.manifest.artifacts.crossmodal.captions
    assert (facts.count, facts.embedded) == (30, 1)  # the new image has a caption of a field
    after = again.search(said[7][1], 1)[0]
    assert (after.id, after.found_by) == (said[7][0], "caption")


def test_captions_of_a_file_outlive_a_lost_text_model(described, make_build, tmp_path, monkeypatch):
    """A build that can embed no new caption, or has no scale of texts, keeps those of a file for the next."""
    entries, file = described
    said = file.read_text().splitlines()[8].split(",")
    given = open_given(align("small", file, indexes=tmp_path).build)

    def fails(*_):
        raise ModelError("it is gone")

    new = shades(tmp_path, 2, start=100)
    with monkeypatch.context() as lost:
        lost.setattr(crossmodal, "open_encoder", fails)
        lost.setattr(crossmodal, "unrelated", fails)
        for count in (1, 2):  # the second time there are no captions to take a scale from
            build = make_build([*entries, *new[:count]], unit=Unit.IMAGE)
            assert build.manifest.artifacts.crossmodal.captions is None
            assert open_given(build) == given
    monkeypatch.setattr(crossmodal, "open_encoder", fakes.LetterEncoder)
    build = make_build([*entries, *new[:1]], unit=Unit.IMAGE)
    assert open_given(build) == given
    hit = Index(build, fakes.LetterEncoder).search(said[1], 1)[0]
    assert (hit.id, hit.found_by) == (said[0], "caption")


def test_captions_of_a_file_outlive_damage_to_their_vectors(described, make_build, tmp_path, monkeypatch):
    """The texts are intact, so they are embedded again; where the texts are damaged that is reported."""
    entries, file = described
    monkeypatch.setattr(crossmodal, "open_encoder", fakes.LetterEncoder)
    first = align("small", file, indexes=tmp_path).build
    given = open_given(first)
    (first.folder / VECTORS).write_bytes(b"x")
    second = make_build(entries, unit=Unit.IMAGE)
    assert second.folder != first.folder
    assert open_given(second) == given
    (second.folder / GIVEN).write_bytes(b"x")
    told = fakes.Told()
    assert open_given(make_build(entries, unit=Unit.IMAGE, progress=told)) == []
    assert (
        "the captions that came from a file are damaged: run embedsearch align small --captions again"
        in told.stages
    )


def test_a_caption_with_half_a_surrogate_pair_is_read(described, tmp_path):
    """JSON can write one, UTF-8 can't store it: "?" stands for it."""
    _, file = described
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    path = tmp_path / "said.jsonl"
    lines = [json.dumps({"image": name, "caption": f"{text}\ud83d"}) for name, text in rows]
    path.write_text("\n".join(lines))
    assert open_given(align("small", path, indexes=tmp_path).build)[0] == (rows[0][0], f"{rows[0][1]}?")


def test_captions_that_no_model_reads_are_listed(described, tmp_path):
    """A caption that the text model can't read is rejected, counted and named."""
    _, file = described
    with file.open("a") as lines:
        lines.write(f"\n3,a {fakes.UNREADABLE}\n4,b {fakes.UNREADABLE}\n")
    told = fakes.Told()
    facts = align("small", file, indexes=tmp_path, progress=told).manifest.artifacts.crossmodal.align
    assert (facts.pairs, facts.rejected) == (60, 2)
    assert told.stages[:3] == [
        "2 of 62 captions were rejected",
        f"rejected 'a {fakes.UNREADABLE}': the text holds a skull",
        f"rejected 'b {fakes.UNREADABLE}': the text holds a skull",
    ]


@pytest.mark.usefixtures("shaded")
def test_captions_of_few_images_are_too_few(tmp_path):
    """Four images with captions of their own are needed, however many captions one has."""
    path = tmp_path / "said.csv"
    path.write_text("image,caption\n" + "".join(f"{n % 3},{'r' * n}\n" for n in range(1, 21)))
    with pytest.raises(SourceError, match=r"20 different captions belong to 3 images .* at least 4 images"):
        align("small", path, indexes=tmp_path)


def test_an_alignment_that_finds_less_is_refused(shaded, tmp_path, monkeypatch):
    """What was measured to be worse than class names alone is not put in force."""
    worse = {"recall@1": 0.1, "recall@5": 0.2, "recall@10": 0.3, "median_rank": 9.0}
    better = worse | {"recall@10": 0.5}
    chosen = Chosen(1.0, 0.5, {"conse": better, "ridge": worse, "both": worse}, 60, 60, worse=True)
    monkeypatch.setattr(alignment, "choose", lambda *_: chosen)
    with pytest.raises(SourceError, match=r"0\.300, against 0\.100, 0\.200, 0\.500"):
        align("small", indexes=tmp_path)
    assert open_build(tmp_path, "small").folder == shaded[0].folder


def test_an_alignment_survives_a_lost_text_model(shaded, make_build, tmp_path, monkeypatch):
    """Where the text model can't be loaded a rebuild keeps places and scale, and says so."""
    first = align("small", indexes=tmp_path)

    def fails(*_):
        raise ModelError("it is gone")

    monkeypatch.setattr(crossmodal, "unrelated", fails)
    told = fakes.Told()
    second = make_build([*shaded[1], *shades(tmp_path, 1, start=100)], unit=Unit.IMAGE, progress=told)
    assert second.manifest.artifacts.crossmodal.by == "align"
    before, after = (open_scale(build) for build in (first.build, second))
    np.testing.assert_array_equal(before.answers[0].foreign, after.answers[0].foreign)
    assert "the scale of text queries is kept from the previous build: it is gone" in told.stages


def test_captions_that_are_held_out_allow_a_verdict(shaded, make_build, tmp_path, monkeypatch):
    """Each caption is asked of images projected without it; a rebuild keeps what was measured."""
    few = Index(align("small", indexes=tmp_path).build, fakes.LetterEncoder)
    reason = "There is no verdict: no queries that belong here were measured in this index."
    judged = few.crossmodal.scale.judge([0.1, 0.1, 0.1])
    assert (judged.verdict, judged.reason) == (None, reason)  # under 200 captions
    monkeypatch.setattr(alignment, "FEW_ITEMS", 59)
    first = Index(align("small", indexes=tmp_path).build, fakes.LetterEncoder)
    items = first.crossmodal.scale.answers[0].items
    assert len(items) == 59
    captions = {record.fields["caption"] for record in shaded[1]}
    fitted = [closeness_of([[hit.distance for hit in first.search(each, 3)]])[0] for each in captions]
    assert np.abs(items - np.sort(fitted)).max() > 1e-4  # other maps than that of all captions
    assert first.crossmodal.scale.judge([0.1, 0.1, 0.1]).verdict is not None
    second = make_build([*shaded[1], *shades(tmp_path, 1, start=100)], unit=Unit.IMAGE)
    np.testing.assert_array_equal(open_scale(second).answers[0].items, items)


@pytest.mark.parametrize("file", ["bridge.npy", "bridge-scale.npz", "bridge.faiss"])
def test_an_alignment_survives_damage_to_what_it_makes(shaded, make_build, tmp_path, file):
    """Places, their index and their scale are made anew from the map; no image is embedded again."""
    first = align("small", indexes=tmp_path)
    wanted = np.array(open_projected(first.build))
    (first.build.folder / file).write_bytes(b"x")
    second = make_build(shaded[1], unit=Unit.IMAGE)
    assert second.folder != first.build.folder
    assert second.manifest.artifacts.crossmodal.align == first.manifest.artifacts.crossmodal.align
    np.testing.assert_allclose(np.array(open_projected(second)), wanted, atol=1e-6)
    assert second.manifest.report.seconds >= 0
    assert (second.manifest.changes.to_embed, second.manifest.changes.unchanged) == (0, 60)


def test_a_lost_alignment_is_told(shaded, make_build, tmp_path):
    """Where the map itself, or the build around it, is damaged, the rebuild says how to align again."""
    for file in ("bridge.npz", "vectors.npy"):
        (align("small", indexes=tmp_path).build.folder / file).write_bytes(b"x")
        told = fakes.Told()
        build = make_build(shaded[1], unit=Unit.IMAGE, progress=told)
        assert build.manifest.artifacts.crossmodal is None
        assert any("embedsearch align small" in stage for stage in told.stages)


def test_an_alignment_survives_another_metric(shaded, make_build, tmp_path):
    """Places are of unit vectors, so the distance of the index says nothing about them."""
    first = align("small", indexes=tmp_path)
    second = make_build(shaded[1], unit=Unit.IMAGE, metric="l2")
    assert second.manifest.artifacts.crossmodal.align == first.manifest.artifacts.crossmodal.align
