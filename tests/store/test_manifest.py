"""A manifest as typed parts, and its JSON, which is that of 0.6.0."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from embedsearch.backends.facts import Step
from embedsearch.errors import IndexDamagedError
from embedsearch.records import Unit
from embedsearch.store.facts import NeighboursKept
from embedsearch.store.manifest import Manifest

# as 0.6.0 wrote them, but for the folders named in them
WRITTEN = sorted(Path(__file__).with_name("manifests-0.6.0").iterdir())


@pytest.fixture
def load(tmp_path):
    """Return a function that lays a manifest's text into an index's folder and loads it."""
    folder = tmp_path / "faq" / "builds" / "one"
    folder.mkdir(parents=True)

    def load(text):
        (folder / "manifest.json").write_text(text, encoding="utf-8")
        return Manifest.load(folder)

    return load


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_a_manifest_of_0_6_0_is_read_and_written_as_it_was(path, load, tmp_path):
    """Its checksum holds, every key and value comes back, in their order, and so does the file's text."""
    text = path.read_text(encoding="utf-8")
    manifest = load(text)
    values = json.loads(text)
    checksum = values.pop("checksum")
    assert json.dumps(manifest.to_json()) == json.dumps(values)
    manifest.save(tmp_path)
    saved = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert saved == {**values, "checksum": checksum}


def test_its_parts_have_types(load):
    """What 0.6.0 wrote as objects are dataclasses, tuples and enumerations."""
    manifest = load((WRITTEN[0].with_name("rebuilt.json")).read_text(encoding="utf-8"))
    assert manifest.unit is manifest.encoder.spec.unit is manifest.recipe.encoder.unit is Unit.TEXT
    assert (manifest.encoder.spec.layers, manifest.recipe.name) == ((-1,), manifest.name)
    assert manifest.index.tuned.steps[0] == Step(1.0, 14, 20, 0.97)
    assert manifest.changes.neighbours_kept == NeighboursKept(0.907, 200)
    assert (manifest.changes.rejected, manifest.artifacts.map) == (0, None)
    assert manifest.artifacts.files == {"background.npy", "scale.npz"}
    aligned = load((WRITTEN[0].with_name("aligned.json")).read_text(encoding="utf-8"))
    assert aligned.changes is None
    assert (aligned.artifacts.crossmodal.by, aligned.artifacts.crossmodal.align.images) == ("align", 1137)


@pytest.mark.parametrize(
    ("at", "value", "named"),
    [
        (("index", "shards"), 3, r"index\.shards is unknown"),
        (("shards",), 3, "shards is unknown"),
        (("additions", "sums"), {"files": []}, r"additions\.sums is unknown"),
        (("recipe", "index", "shard"), 3, r"recipe\.index\.shard is unknown"),
        (("count",), "3", "count is '3', where a int was expected"),
        (("count",), True, "count is True, where a int was expected"),
        (("index", "recall"), None, r"index\.recall is None, where a float was expected"),
        (("encoder", "layers"), [1, "2"], r"encoder\.layers\[1\] is '2', where a int was expected"),
        (("encoder", "prompts"), {"search": ""}, "one of query, passage was expected"),
        (("recipe", "index", "keep"), 0, "keep is 0"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_it_does_not_know_is_refused(at, value, named, load):
    """An entry of a newer version, or of another type, is named: no part of a manifest is lost unseen."""
    values = json.loads(WRITTEN[0].read_text(encoding="utf-8"))
    del values["checksum"]
    inner = values
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    with pytest.raises(IndexDamagedError, match=named):
        load(signed(values))


def signed(values):
    """Return the text of these values with their checksum."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return json.dumps({**values, "checksum": hashlib.sha256(text.encode()).hexdigest()})


def test_format_1_is_refused_with_the_command_that_builds_again(load, tmp_path):
    """An index of embedsearch before 0.3 is rebuilt by its recipe, or built without one."""
    values = json.loads(WRITTEN[0].read_text(encoding="utf-8")) | {"schema": 1, "version": "0.2.0"}
    with pytest.raises(IndexDamagedError, match=r"format 1, .* 0\.2\.0.*build SOURCE --name faq$"):
        load(json.dumps(values))
    (tmp_path / "faq" / "recipe.toml").touch()
    with pytest.raises(IndexDamagedError, match=r"embedsearch rebuild faq --full$"):
        load(json.dumps(values))


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(load):
    """What a later embedsearch wrote says so: it is no damage."""
    values = json.loads(WRITTEN[0].read_text(encoding="utf-8")) | {"schema": 3, "version": "2.0"}
    with pytest.raises(IndexDamagedError, match=r"format 3, written by embedsearch 2\.0.*Update embedsearch"):
        load(json.dumps(values))


def test_an_altered_manifest_is_refused(load):
    """A value changed by hand is found by the checksum."""
    text = WRITTEN[0].read_text(encoding="utf-8")
    with pytest.raises(IndexDamagedError, match="its checksum is another"):
        load(text.replace('"count": 1137', '"count": 1138'))


def test_one_artifact_is_replaced(load):
    """The others stay as they are."""
    artifacts = load((WRITTEN[0].with_name("mapped.json")).read_text(encoding="utf-8")).artifacts
    facts = replace(artifacts.scale, files=("other.npz",))
    assert artifacts.with_("scale", facts) == replace(artifacts, scale=facts)
