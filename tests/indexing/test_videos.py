"""Indexes of videos: built, rebuilt, searched, explained; the video is the answer, with its best moment."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.encoders.frames import image_file
from embedsearch.errors import MissingExtraError, SourceError, TooManyRejectedError
from embedsearch.explain.shown import image_of
from embedsearch.index import open_index
from embedsearch.indexing.build import build_index
from embedsearch.progress import Silent
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Clip, Unit
from embedsearch.sources import open_source
from embedsearch.sources.guess import guess
from tests.fakes import Asked, LetterEncoder, Told, colour
from tests.films import BLUE, GREEN, RED, SIZE, film, scene, sound, written
from tests.sounds import tone, write

ROOT = Path(__file__).parents[2]
YELLOW = (220, 210, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four videos, one of each format, and three files that are none."""
    folder = tmp_path_factory.mktemp("films") / "films"
    film(folder / "a.mp4", [(RED, 3), (GREEN, 2)], title="The red one")
    film(folder / "sub" / "b.mkv", [(BLUE, 2), (RED, 1.5), (GREEN, 2)])
    film(folder / "sub" / "c.webm", [(GREEN, 4)])
    film(folder / "d.mov", [(BLUE, 2)])
    (folder / "a.txt").write_text("A red room, then a meadow.", encoding="utf-8")
    sound(folder / "sound.mp4")
    (folder / "renamed.mkv").write_bytes(b"no video at all")
    (folder / "empty.webm").touch()
    (folder / "notes.pdf").touch()
    return folder


@pytest.fixture(scope="module")
def index(folder, tmp_path_factory):
    """The index of that folder."""
    return es.build(folder, engine="torch", name="films", indexes=tmp_path_factory.mktemp("indexes"))


class Colours(LetterEncoder):
    """Takes the mean colour of a frame."""

    def _prepare(self, item):
        return Asked({"row": colour(image_file(item) if isinstance(item, Clip) else item)}, cost=1)


def built(folder, tmp_path, progress=None):
    """Build an index of a folder's videos by their colours, or bring it up to date, and open it."""
    recipe = Recipe("films", SourceRecipe("videos", str(folder)), EncoderRecipe(Unit.FRAME))
    describe = lambda recipe: Colours(recipe).spec  # noqa: E731
    shown = progress or Silent()
    build_index(
        recipe, tmp_path / "indexes", allow_removal=True, load=Colours, describe=describe, progress=shown
    )
    return open_index("films", tmp_path / "indexes", load=Colours)


def answers(results):
    """Return the id and the moment of each hit."""
    return [(hit.id, hit.moment) for hit in results]


def test_a_folder_of_videos_is_built_and_the_rest_is_told(index):
    """Each scene is an item with its time; what is no video is rejected in a sentence; the rest is built."""
    ids = index.build.items["id"].to_pylist()
    assert ids == ["a.mp4#0", "a.mp4#3000", "d.mov#0", "sub/b.mkv#0", "sub/b.mkv#2000", "sub/b.mkv#3500",
                   "sub/c.webm#0"]  # fmt: skip
    assert {each["id"]: each["reason"] for each in index.rejected()} == {
        "empty.webm": "the file is empty",
        "renamed.mkv": "the file is no video that can be read, or its beginning is damaged",
        "sound.mp4": "the file holds no video stream: sound alone",
    }
    assert index.info().report.passed_over == {".pdf": 1}
    hit = index.get("a.mp4")
    assert (hit.id, hit.moment, hit.modality) == ("a.mp4", (0.0, 3.0), "video")
    fields = {
        "file": "a.mp4",
        "caption": "A red room, then a meadow.",
        "title": "The red one",
        "codec": "h264",
    }
    assert fields.items() <= hit.fields.items()
    assert index.get("sub/b.mkv#2000").moment == (2.0, 3.5)


def test_an_image_finds_the_video_with_its_best_moment(index):
    """Each video is found once, at the scene that is nearest; k counts videos."""
    found = index.search(scene(RED), k=4)
    assert answers(found)[:2] == [("a.mp4", (0.0, 3.0)), ("sub/b.mkv", (2.0, 3.5))]
    assert sorted(hit.id for hit in found) == ["a.mp4", "d.mov", "sub/b.mkv", "sub/c.webm"]
    assert found[0].distance < 0.01
    assert [hit.id for hit in index.search(scene(BLUE), k=2)] in (
        ["d.mov", "sub/b.mkv"],
        ["sub/b.mkv", "d.mov"],
    )


def test_filters_and_more_like_this_mean_videos(index):
    """A filter is over the fields of the video, and a video is not among its own hits."""
    found = index.search(scene(RED), k=4, where="label = 'sub'")
    assert [hit.id for hit in found] == ["sub/b.mkv", "sub/c.webm"]
    assert {hit.id for hit in index.similar("sub/c.webm", k=9)} == {"a.mp4", "d.mov", "sub/b.mkv"}
    assert [hit.id for hit in index.search(scene(RED), where="duration > 5.2")] == ["sub/b.mkv"]


def test_texts_find_moments_by_class_names(index):
    """As for images, through the class head of the image model."""
    found = index.search("a traffic light", k=3)
    assert found.by == "conse"
    assert len({hit.id for hit in found}) == 3
    assert all(hit.moment for hit in found)


def test_texts_find_moments_by_the_towers_of_clip(small_model, tmp_path):
    """A text is compared with every frame by the plain call's two towers; each video is found once."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    film(tmp_path / "films" / "a.mp4", [(RED, 2), (GREEN, 2)])
    film(tmp_path / "films" / "b.mp4", [(BLUE, 2)])
    clip = small_model("clip").as_posix()
    options = {"model": clip, "views": "centre", "device": "cpu", "precision": "fp32"}
    index = es.build(tmp_path / "films", name="films", indexes=tmp_path / "indexes", **options)
    ids = index.build.items["id"].to_pylist()
    assert ids == ["a.mp4#0", "a.mp4#2000", "b.mp4#0"]

    model, processor = AutoModel.from_pretrained(clip).eval(), AutoImageProcessor.from_pretrained(clip)
    frames = [Image.open(io.BytesIO(image_of(index.get(each)))) for each in ids]
    with torch.inference_mode():
        seen = [model.get_image_features(**processor(each, return_tensors="pt")) for each in frames]
        read = model.get_text_features(**AutoTokenizer.from_pretrained(clip)("a river", return_tensors="pt"))
    wanted = 1 - torch.cosine_similarity(read.pooler_output, torch.cat([each.pooler_output for each in seen]))

    results = index.search("a river", k=3)
    assert results.by == "towers"
    nearest = min(0, 1, key=lambda frame: wanted[frame])
    assert {hit.id: (hit.moment[0], hit.distance) for hit in results} == {
        "a.mp4": (2.0 * nearest, pytest.approx(float(wanted[nearest]), abs=1e-5)),
        "b.mp4": (0.0, pytest.approx(float(wanted[2]), abs=1e-5)),
    }


def test_the_heat_lies_over_the_frame_that_was_found(index):
    """An explanation is of the nearest frame, whose vector is computed again from the video."""
    query = scene(RED)
    hit = index.search(query, k=4)[1]
    made = index.explain(query, hit)
    assert made.id == "sub/b.mkv#2000"
    assert index.explain(query, "sub/b.mkv").id == made.id
    assert made.recomputed == pytest.approx(made.stored, abs=1e-4)
    assert made.note == ""
    frame = np.asarray(Image.open(io.BytesIO(image_of(hit))), int)
    assert np.abs(frame[40, 60] - RED).max() < 16


def test_a_rebuild_embeds_the_new_and_the_changed_video_alone(tmp_path):
    """One added, one changed, one removed: the others keep their vectors, and the answers follow."""
    copy = tmp_path / "films"
    film(copy / "a.mp4", [(RED, 3), (GREEN, 2)])
    film(copy / "b.mkv", [(BLUE, 2)])
    film(copy / "c.webm", [(GREEN, 4)])
    first = built(copy, tmp_path)
    assert built(copy, tmp_path).info().build == first.info().build
    film(copy / "new.mp4", [(YELLOW, 2)])
    film(copy / "b.mkv", [(RED, 2), (YELLOW, 2)])
    (copy / "c.webm").unlink()
    second = built(copy, tmp_path)
    changes = second.info().changes
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (1, 1, 1, 1)
    assert changes.to_embed == 2
    ids = ["a.mp4#0", "a.mp4#3000", "b.mkv#0", "b.mkv#2000", "new.mp4#0"]
    assert second.build.items["id"].to_pylist() == ids
    assert np.array_equal(second.build.vectors[:2], first.build.vectors[:2])
    assert {each[0] for each in answers(second.search(scene(YELLOW), k=2))} == {"b.mkv", "new.mp4"}
    assert answers(second.search(scene(YELLOW), k=3, where="file = 'b.mkv'")) == [("b.mkv", (2.0, 3.9))]
    assert second.get("a.mp4").fields["duration"] == 5.0  # of a file that was not read again


def test_a_caption_finds_its_video_once(index):
    """The caption of a video is compared once, not with each frame; it is named as what was found."""
    assert index.captions.rows.tolist() == [0]
    found = index.search("a red room, then a meadow", k=4)
    assert (found[0].id, found[0].found_by) == ("a.mp4", "caption")
    assert len({hit.id for hit in found}) == 4


def test_exact_copies_are_told_of_videos(tmp_path):
    """Two files of the same bytes are one hit, and one group of duplicates."""
    copy = tmp_path / "films"
    film(copy / "a.mp4", [(RED, 2), (GREEN, 2)])
    (copy / "b.mp4").write_bytes((copy / "a.mp4").read_bytes())
    film(copy / "c.mp4", [(BLUE, 2)])
    index = built(copy, tmp_path)
    found = index.search(scene(GREEN), k=3)
    assert [(hit.id, hit.copies) for hit in found] == [("a.mp4", 1), ("c.mp4", 0)]
    assert [[each.id for each in group.members] for group in index.duplicates().exact] == [["a.mp4", "b.mp4"]]


def test_the_command_line_prints_the_moment(index):
    """`search` names the time, its JSON in seconds; `explain --save` writes the frame with its heat."""
    root = index.build.folder.parents[2]
    image, heat = root / "query.png", root / "heat.png"
    scene(RED).save(image)

    def run(*arguments):
        done = CliRunner().invoke(cli, arguments, env={"EMBEDSEARCH_INDEXES": str(root)})
        assert done.exit_code == 0, done.output
        return done.stdout

    shown = run("search", "films", "--image", str(image), "-k", "2")
    assert "films: 2 of 4 videos" in shown
    assert "0:02 to 0:04" in shown
    found = json.loads(run("search", "films", "--image", str(image), "--json"))
    assert found["hits"][1]["moment"] == [2.0, 3.5]
    run("explain", "films", "--image", str(image), "sub/b.mkv", "--save", str(heat))
    assert Image.open(heat).size == SIZE
    assert "0 of 4 videos are copies" in run("dupes", "films")


def test_of_a_video_that_is_cut_off_the_rest_is_listed(tmp_path):
    """The scenes that can be decoded are in the index, and the loss is among what was rejected."""
    folder = tmp_path / "films"
    film(folder / "whole.mkv", [(RED, 3), (GREEN, 3), (BLUE, 3), (YELLOW, 3)])
    data = (folder / "whole.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(data[: len(data) // 2])
    made = built(folder, tmp_path)
    (lost,) = made.rejected()
    assert lost["id"] == "cut.mkv"
    assert re.fullmatch(
        r"the file is cut off or damaged; only its first [3-8]\.. seconds are in the index", lost["reason"]
    )
    assert {each.partition("#")[0] for each in made.build.items["id"].to_pylist()} == {"cut.mkv", "whole.mkv"}


def test_a_folder_of_several_media_says_which_are_taken(tmp_path):
    """The build, before it and after it, and its failure name the other kind, its number and its option."""
    folder = tmp_path / "films"
    film(folder / "a.mp4", [(RED, 2)])
    write(folder, hum=tone(1))
    assert guess(str(folder))[0] == "videos"
    note = (
        "The videos are taken (1), the sounds are passed over (1): for these, build another index with "
        "--kind sounds."
    )
    told = Told()
    assert built(folder, tmp_path, told).info().report.notes == (note,)
    assert told.stages[0] == note  # before anything is embedded
    (folder / "a.mp4").write_bytes(b"no video")
    with pytest.raises(TooManyRejectedError, match=re.escape(note)):
        built(folder, tmp_path)


def test_without_pyav_the_extra_is_named(folder, monkeypatch):
    """A plain error says what to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedsearch\[videos\]'"):
        open_source(SourceRecipe("videos", str(folder)))


def test_videos_lie_in_a_folder(tmp_path):
    """A zip archive of videos is refused, as nothing in it could be played."""
    with pytest.raises(SourceError, match="is a file; expected a folder of videos"):
        (tmp_path / "a.zip").touch()
        open_source(SourceRecipe("videos", str(tmp_path / "a.zip")))


LONG = """
import resource, sys
from pathlib import Path
import numpy as np
from PIL import Image
from embedsearch.encoders import Prepared
from embedsearch.encoders.frames import image_file
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.fakes import LetterEncoder

class Large(LetterEncoder):  # prepares a megabyte of each frame, as a model's pixels take
    def prepare(self, items, role="passage"):
        sizes = [len(image_file(item)) for item in items]
        pixels = [np.ones(2**18, np.float32) for _ in sizes]
        rows = [np.full((1, 26), size) for size in sizes]
        return [Prepared({"row": row, "pixels": each}, 1) for row, each in zip(rows, pixels)]

recipe = Recipe("film", SourceRecipe("videos", sys.argv[1]), EncoderRecipe(Unit.FRAME))
build = build_index(recipe, Path(sys.argv[2]), load=Large, describe=lambda recipe: Large(recipe).spec)
print(build.manifest.count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_film_of_two_hours_takes_bounded_memory(tmp_path):
    """A frame of each of 7,200 seconds takes little more memory than a film of two minutes."""
    blocks = np.random.default_rng(0).integers(0, 256, (7200, 4, 6, 3)).astype(np.uint8)

    def made(name, seconds):
        moving = (np.kron(each, np.ones((16, 16, 1), np.uint8)) for each in blocks[:seconds])
        written(tmp_path / name / "film.mp4", moving, fps=1, codec="mpeg4")
        run = [sys.executable, "-c", LONG, str(tmp_path / name), str(tmp_path / f"of-{name}")]
        done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return [int(each) for each in done.stdout.split()]

    (short, few), (long, many) = made("short", 120), made("long", 7200)
    assert (short, long) == (120, 7200)
    assert many - few < 200, (few, many)  # megabytes; all frames at once would take 7,200
