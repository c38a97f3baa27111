"""A folder of sounds from end to end: built, searched by any of its ways, explained, rebuilt."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.errors import ItemError, QueryError
from embedsearch.query import Image, Sound
from tests.small_sound_models import make
from tests.sounds import clicks, noise, packed, tone, write


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder that holds the sounds, and the indexes."""
    root = tmp_path_factory.mktemp("sounds")
    silence = np.zeros(16_000, np.float32)
    write(root / "s" / "tones", low=tone(2, 220), middle=tone(2, 330), high=tone(2, 660))
    write(root / "s" / "noises", soft=noise(2, level=0.05), loud=noise(2, seed=1), clicks=clicks(2))
    # from 30 seconds on a noise, between tones
    write(root / "s", long=np.concatenate([tone(30, 300), noise(10, seed=2), tone(20, 300)]), silent=silence)
    (root / "s" / "tones" / "low.txt").write_text("a low tone")
    (root / "s" / "renamed.mp3").write_text("This is a text. " * 40)
    (root / "s" / "empty.flac").write_bytes(b"")
    shutil.copy(root / "s" / "tones" / "low.wav", root / "s" / "copy.wav")
    return root


@pytest.fixture(scope="module")
def index(home):
    """The index of them."""
    return es.build(home / "s", name="sounds", indexes=home / "ix")


def test_the_file_is_what_is_found_with_the_moment(index, home):
    """A noise finds the long file once, at the window that holds its noise, and k files come."""
    results = index.search(home / "s" / "noises" / "loud.wav", k=4)
    assert len({hit.id for hit in results}) == len(results) == 4
    assert results[0].id == "noises/loud.wav"
    assert results[0].distance < 1e-3
    found = {hit.id: hit for hit in index.search(Sound(home / "s" / "noises" / "loud.wav"), k=20)}
    assert found["long.wav"].moment == (30.0, 40.0)
    assert found["long.wav"].modality == "sound"
    assert len(found) == index.answers - 1  # the copy is folded
    assert found["copy.wav"].copies == 1 or found["tones/low.wav"].copies == 1


def test_sounds_and_windows_are_counted(index):
    """An index says how many sounds it holds, and how many windows of these."""
    count = index.manifest.count
    assert index.answers < count
    assert index.build.held == f"{index.answers} sounds, {count} windows"


def test_labels_captions_and_tags_are_fields(index):
    """The folder, the text beside a file, and what the file says of itself."""
    fields = index.get("tones/low.wav").fields
    assert (fields["label"], fields["caption"]) == ("tones", "a low tone")
    assert (fields["duration"], fields["sample_rate"]) == (2.0, 16_000)


def test_what_can_not_be_used_is_listed(index):
    """Silent, renamed and empty files are rejected, each with its reason; the rest is built."""
    reasons = {each["id"]: each["reason"] for each in index.rejected()}
    assert set(reasons) == {"silent.wav", "renamed.mp3", "empty.flac"}
    assert reasons["silent.wav"].startswith("it is silent")
    assert reasons["renamed.mp3"] == "the file is not a sound that can be read"


def test_of_a_sound_that_is_cut_off_the_rest_is_listed(home):
    """What can be decoded is in the index, the loss among what was rejected, also after a rebuild."""
    folder = write(home / "cut", a=tone(1))
    data = packed(noise(12), kind="OGG")
    (folder / "b.ogg").write_bytes(data[: len(data) // 2])
    index = es.build(folder, name="cut", indexes=home / "ix")
    (lost,) = index.rejected()
    assert lost["id"] == "b.ogg"
    assert lost["reason"].startswith("the file is cut off or damaged; only its first ")
    assert index.answers == 2
    assert index.search(folder / "b.ogg", k=1)[0].id == "b.ogg"
    write(folder, c=tone(1, 300))
    assert index.rebuild().rejected() == [lost]


def test_why_of_a_sound_that_is_gone_names_the_file(home):
    """The sentence says what to do."""
    folder = write(home / "gone", a=tone(1), b=noise(1))
    index = es.build(folder, name="gone", indexes=home / "ix")
    (folder / "b.wav").unlink()
    with pytest.raises(
        ItemError, match=r"its file .*b\.wav is gone\. Put it back, or run: embedsearch rebuild"
    ):
        index.explain(folder / "a.wav", "b.wav")


def test_sounds_are_compared_by_what_is_heard(home):
    """Files are compared, not their names; by the model, and by an index of sounds; the command as Python."""
    noises, low = home / "s" / "noises", home / "s" / "tones" / "low.wav"
    files = [noises / "soft.wav", noises / "loud.wav", low]
    made = es.compare(files)
    assert made.labels == ("soft.wav", "loud.wav", "low.wav")
    assert made.nearest() == (0, 1)
    assert made.distances[0, 1] < made.distances[0, 2] / 2
    by_index = es.compare([low.read_bytes() if file == low else file for file in files], index="sounds",
                          indexes=home / "ix")  # fmt: skip
    np.testing.assert_allclose(by_index.distances, made.distances, atol=1e-4)
    for given in (map(str, files), [*map(str, files[:2]), "--sound", str(low)]):
        done = CliRunner().invoke(cli, ["compare", "--json", *given])
        assert done.exit_code == 0, done.output
        (found,) = json.loads(done.stdout)["comparisons"]
        np.testing.assert_allclose(found["distances"], made.distances, atol=1e-6)


def test_an_item_finds_no_part_of_itself(index):
    """More like a long file: none of its windows is among the hits; a moment can be asked with, too."""
    assert "long.wav" not in {hit.id for hit in index.similar("long.wav", k=20)}
    at_noise = index.similar("long.wav#30000", k=20)
    assert at_noise[0].id.startswith("noises/")
    assert "long.wav" not in {hit.id for hit in at_noise}


def test_bytes_and_paths_ask_alike(index, home):
    """A path, bytes and an Image of them are sounds here."""
    path = home / "s" / "tones" / "high.wav"
    answers = [index.search(each, k=3) for each in (path, path.read_bytes(), Image(path), Sound(path))]
    assert {tuple(hit.distance for hit in each) for each in answers} == {
        tuple(hit.distance for hit in answers[0])
    }
    with pytest.raises(QueryError, match=r"holds sounds .* With captions, texts find its sounds"):
        index.search("a bell")


def test_a_hit_is_explained_over_its_spectrogram(index, home):
    """The parts of the score add up, and the heat has the cells of the image model."""
    hit = index.search(home / "s" / "noises" / "soft.wav", k=20)[0]
    made = index.explain(home / "s" / "noises" / "soft.wav", hit)
    assert made.exact
    assert made.drawn.shape == (9, 9)
    assert made.score == pytest.approx(made.similarity, abs=1e-4)
    assert made.similarity == pytest.approx(1 - hit.distance, abs=2e-3)


def test_a_vote_of_labels_leaves_the_windows_of_the_same_file_out(home):
    """The nearest window of a long file is its own next one, which has its label and does not count."""
    folder = home / "v"
    for label, low in (("a", 200), ("b", 900)):
        write(folder / label, long=tone(20, low), other=noise(2, seed=low))
    index = es.build(folder, name="v", indexes=home / "ix")
    assert index.evaluate(labels="label", k=1)["labels"]["P@1"] < 0.5


def test_copies_are_of_whole_files(index):
    """The windows of one file are no copies; a copied file is."""
    (group,) = [each for each in index.duplicates().groups if each.exact]
    assert {member.id for member in group.members} == {"copy.wav", "tones/low.wav"}
    assert all("#" not in member.id for each in index.duplicates().groups for member in each.members)


def test_a_rebuild_embeds_what_is_new(home):
    """One file added, one changed, one removed: two are embedded, and the others keep their vectors."""
    folder = home / "r"
    write(folder, a=tone(1, 200), b=tone(12, 400), c=noise(1), d=clicks(1), e=noise(1, seed=5))
    before = es.build(folder, name="r", indexes=home / "ix")
    write(folder, c=noise(1, seed=9), f=tone(1, 900))
    (folder / "e.wav").unlink()
    after = before.rebuild()
    changes = after.info().changes
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (1, 1, 1, 3)
    assert changes.to_embed == 2
    assert after.info().report.reused == 4  # `b` has two windows
    assert sorted(hit.id for hit in after.search(folder / "f.wav", k=20)) == [
        f"{name}.wav" for name in "abcdf"
    ]


def test_sounds_in_a_table(home):
    """A column of bytes and a column of paths are sounds; the bytes are kept to be played."""
    rows = [{"id": name, "s": packed(made)} for name, made in (("t", tone(1)), ("n", noise(1)))]
    held = es.build(rows, name="held", sound="s", id="id", indexes=home / "ix")
    assert held.search(packed(noise(1, seed=3)), k=1)[0].id == "n"
    assert held.get("t").image == packed(tone(1))
    table = home / "t.csv"
    table.write_text("id,file\nlow,s/tones/low.wav\nsoft,s/noises/soft.wav\n")
    named = es.build(table, name="named", sound="file", id="id", windows="1/1", indexes=home / "ix")
    assert named.search(home / "s" / "tones" / "middle.wav", k=1)[0].id == "low"
    assert len(named) == 4  # two seconds each
    assert named.answers == 2


def test_the_bytes_of_a_sound_are_kept_once(home):
    """A sound in several windows is kept with the first, and each of them plays it; rebuilt as well."""
    packs = {"t": packed(tone(2)), "n": packed(noise(2))}
    rows = [{"id": name, "s": held} for name, held in packs.items()]

    def check(index, wanted):
        windows = len(index) // len(wanted)
        assert windows == 2
        kept = index.build.items["picture"].to_pylist()
        assert [held for held in kept if held is not None] == [packs[name] for name in wanted]
        assert kept[1::2] == [None] * len(wanted)
        columns = index.build.read(range(len(index)), ["id", "picture"])
        assert columns["picture"] == [packs[name] for name in wanted for _ in range(windows)]
        hits = index.search(packs["n"], k=2)
        assert {hit.id: hit.image for hit in hits} == {name: packs[name] for name in (hit.id for hit in hits)}

    check(es.build(rows, name="once", sound="s", id="id", windows="1/1", indexes=home / "ix"), "tn")
    index = es.open("once", home / "ix")
    packs["a"] = packed(tone(2, hertz=200))
    index.add([{"id": "a", "s": packs["a"]}])
    check(es.open("once", home / "ix"), "tna")


def test_a_data_set_with_an_audio_column(home):
    """The only Audio column is what is embedded, as it is stored."""
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict(
        {"audio": [{"bytes": packed(tone(1)), "path": None}, {"bytes": packed(noise(1)), "path": None}]}
    ).cast_column("audio", datasets.Audio(decode=False))
    data.save_to_disk(str(home / "data"))
    held = es.build(home / "data", name="data", indexes=home / "ix")
    assert held.info().unit == "sound"
    assert len(held) == 2


def test_texts_find_sounds_by_the_towers_of_clap(home, tmp_path):
    """A text is compared with the sounds in the one space of the model's two towers."""
    clap = make("clap", tmp_path / "clap")
    tones = home / "s" / "tones"
    index = es.build(tones, name="clap", model=clap, indexes=home / "ix", device="cpu", captions="")
    results = index.search("a low tone", k=3)
    assert (results.by, len(results)) == ("towers", 3)
    text = es.load_encoder(clap, unit="text", pooling="projection", precision="fp32").encode(["a low tone"])
    held = np.asarray(index.build.vectors)
    wanted = 1 - held @ text[0] / np.linalg.norm(held, axis=1) / np.linalg.norm(text[0])
    assert [hit.distance for hit in results] == pytest.approx(sorted(wanted.tolist()), abs=1e-5)
