"""Queries on a CPU go through an exported model: no torch, torch's vectors, and torch where that fails."""

import json
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import embedsearch as es
from embedsearch import encoders
from embedsearch.artifacts import exports as exports_of_builds
from embedsearch.disk.cache import cache_folder, clear_cache
from embedsearch.disk.lock import write_lock
from embedsearch.encoders import open_encoder, query_encoder
from embedsearch.encoders.engines import QUERY, export, exported
from embedsearch.encoders.engines.exported import open_exported
from embedsearch.encoders.query_encoder import query_engine
from embedsearch.encoders.text import Tokenizer
from embedsearch.errors import EncoderMismatchError
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Sentence, Unit
from embedsearch.splitters.words import words
from tests.encoders.engines.test_openvino import wrong
from tests.encoders.test_images import pictures
from tests.fakes import Told
from tests.small_models import SENTENCES, TEXT_MODELS

pytestmark = [
    pytest.mark.openvino,
    pytest.mark.skipif(not encoders.has_openvino(), reason="the extra openvino is not installed"),
]
HEAVY = ("torch", "transformers", "scipy", "sqlglot", "pydantic")


def recipe_of(folder, engine=QUERY, unit=Unit.TEXT, precision="fp32"):
    """Return the recipe of a small model on the CPU."""
    return EncoderRecipe(unit, str(folder), pooling="mean", engine=engine, precision=precision, device="cpu")


def opened(folder, engine=QUERY, unit=Unit.TEXT, precision="fp32"):
    """Return an encoder of a small model on the CPU."""
    return open_encoder(recipe_of(folder, engine, unit, precision))


def exports():
    """Return the facts of what was exported in this test's cache."""
    return [json.loads(path.read_text()) for path in (cache_folder() / "exported").glob("*/facts.json")]


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_an_exported_model_has_torchs_vectors(small_model, name):
    """The export, and the next load which only reads it, tokenise as torch's encoder and embed to 1e-5."""
    texts = [*SENTENCES, "", "x " * 3000]
    exact = opened(small_model(name), "torch")
    want = exact.encode(texts)
    for encoder in (opened(small_model(name)), opened(small_model(name))):
        assert (encoder.engine, encoder.dimension) == ("openvino", exact.dimension)
        assert encoder.spec.fingerprint == exact.spec.fingerprint
        for ours, theirs in zip(encoder.prepare(texts), exact.prepare(texts), strict=True):
            assert (ours.truncated, ours.unknown) == (theirs.truncated, theirs.unknown)
            np.testing.assert_array_equal(ours.inputs["input_ids"], theirs.inputs["input_ids"])
        np.testing.assert_allclose(encoder.encode(texts), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("words", "length"), [(1, 16), (14, 16), (15, 32), (120, 128), (3000, 128)])
def test_a_query_is_padded_to_a_few_lengths(small_model, words, length):
    """An exported model gets texts of 16, 32, ... tokens, up to its limit of 128; torch gets each as it is.

    OpenVINO takes twice as long for the first text of each length.
    """
    text = "cat " * words
    exact, encoder = opened(small_model("bert"), "torch"), opened(small_model("bert"))
    (ready,) = encoder.prepare([text])
    assert encoder.collate([ready])["input_ids"].shape == (1, length)
    assert encoder.collate([ready])["attention_mask"].sum() == len(ready.inputs["input_ids"])
    assert exact.collate([ready])["input_ids"].shape == (1, len(ready.inputs["input_ids"]))


def test_words_go_through_an_exported_model(small_model):
    """Each word of a sentence has torch's vector to 1e-5 through an export that was made before."""
    sentences = [Sentence(text, words(text)) for text in SENTENCES]
    want = opened(small_model("bert"), "torch", Unit.WORD).encode(sentences)
    opened(small_model("bert"), unit=Unit.WORD)
    encoder = opened(small_model("bert"), unit=Unit.WORD)
    assert encoder.engine == "openvino"
    np.testing.assert_allclose(encoder.encode(sentences), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_images_go_through_an_exported_model(small_model, name):
    """Images have torch's vectors, to 1e-4 of their length, in both views, through an export made before."""
    recipe = EncoderRecipe(Unit.IMAGE, str(small_model(name)), precision="fp32", device="cpu", preparation=2)
    want = open_encoder(replace(recipe, engine="torch")).encode(pictures())
    open_encoder(replace(recipe, engine=QUERY))
    encoder = open_encoder(replace(recipe, engine=QUERY))
    assert encoder.engine == "openvino"
    bound = 1e-4 * np.linalg.norm(want, axis=1).max()
    np.testing.assert_allclose(encoder.encode(pictures()), want, rtol=0, atol=bound)


def test_hidden_states_are_torchs(small_model):
    """An encoder of an exported model explains by the hidden states of torch in fp32."""
    got = opened(small_model("bert")).hidden_states(SENTENCES[0])
    want = opened(small_model("bert"), "torch").hidden_states(SENTENCES[0])
    np.testing.assert_array_equal(got.rows, want.rows)


SEARCH = """
import sys
import embedsearch as es
hits = es.open("faq", indexes=sys.argv[1]).search("a cat", k=2)
print(hits[0].id, f"{hits[0].distance:.6f}", [name for name in sys.argv[2:] if name in sys.modules])
"""


@pytest.fixture
def faq(small_model, tmp_path, monkeypatch):
    """Return an index of sentences by a small model, for which that of images is not exported."""
    monkeypatch.setattr(exports_of_builds, "asks_class_names", lambda _: False)
    return es.build(
        list(SENTENCES), name="faq", indexes=tmp_path, model=small_model("bert"), pooling="mean", device="cpu"
    )


def test_a_text_query_loads_no_torch(faq, tmp_path):
    """A build exports the model; a process that asks then loads neither torch nor other heavy libraries."""
    assert [facts["is_transformer"] for facts in exports()] == [True]
    first = faq.search("a cat", k=2)[0]
    run = subprocess.run(
        [sys.executable, "-c", SEARCH, str(tmp_path), *HEAVY], capture_output=True, text=True, check=True
    )
    assert run.stdout.split(maxsplit=2) == [first.id, f"{first.distance:.6f}", "[]\n"]
    assert run.stderr == ""


def test_align_exports_the_model_of_texts(small_model, tmp_path, monkeypatch):
    """After `align` the texts' model is exported for the first query, while others can write the index."""
    lines = ["image,caption"]
    for number in range(8):
        Image.new("RGB", (64, 64), (30 * number, 0, 0)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{SENTENCES[number % len(SENTENCES)]} {number}")
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    folder = tmp_path / "indexes"
    options = {"model": small_model("vit"), "pooling": "mean", "device": "cpu"}
    es.build(tmp_path, name="reds", indexes=folder, progress=(progress := Told()), **options)
    assert len(exports()) == 1
    write = exported.keep

    def kept(*arguments):
        with write_lock(folder / "reds"):
            write(*arguments)

    monkeypatch.setattr(export, "keep", kept)
    es.align(
        "reds", tmp_path / "captions.csv", text_model=small_model("bert"), indexes=folder, progress=progress
    )
    assert len(exports()) == 2
    assert [each for each in progress.stages if "preparing the model" in each] == [progress.stages[-1]] * 2


def test_an_index_of_an_earlier_version_is_asked_through_torch():
    """Builds before 0.9 keep the digits of torch; later ones are asked through an export."""
    assert [query_engine(each) for each in ("0.6.0", "0.8.0", "0.9.0", "0.10.0", "1.0.0")] == [
        "torch", "torch", QUERY, QUERY, QUERY,
    ]  # fmt: skip


def test_torch_serves_where_an_export_computes_something_else(small_model, monkeypatch, caplog):
    """An export whose vectors differ from torch's is not used; that is said once, also by later processes."""
    wrong(monkeypatch, by=0.5)
    with caplog.at_level(logging.WARNING, "embedsearch"):
        assert [opened(small_model("bert")).engine for _ in range(2)] == ["torch", "torch"]
    (record,) = caplog.records
    assert "Queries are embedded by torch: OpenVINO can't run" in record.message
    assert "least cosine to torch" in exports()[0]["failed"]


def test_an_export_is_compared_with_the_probes_of_a_build(faq, monkeypatch, tmp_path, caplog):
    """An export that gives other vectors of a build's probes is not trusted: torch answers, said once."""
    wrong(monkeypatch, by=0.5)
    with caplog.at_level(logging.WARNING, "embedsearch"):
        used = [es.open("faq", indexes=tmp_path).encoder.engine for _ in range(2)]
    assert (faq.manifest.encoder.engine, used) == ("openvino", ["torch", "torch"])
    (record,) = caplog.records
    assert "Queries of faq are embedded by torch" in record.message
    assert "gives other vectors of its items" in record.message


def test_a_truncated_export_is_made_again(small_model):
    """A file of an export that lost bytes is not used: the model is exported again."""
    opened(small_model("bert"))
    (weights,) = (cache_folder() / "exported").glob("*/model.bin")
    size = weights.stat().st_size
    os.truncate(weights, size // 2)
    assert opened(small_model("bert")).engine == "openvino"
    assert weights.stat().st_size == size


def test_an_index_that_torch_does_not_match_either_refuses_no_export(faq, monkeypatch, tmp_path):
    """Where torch too gives other vectors of a build's probes, the index is at fault, and not the export."""

    def mismatch(*_):
        raise EncoderMismatchError("other vectors")

    monkeypatch.setattr(query_encoder, "check", mismatch)
    with pytest.raises(EncoderMismatchError, match="other vectors"):
        _ = es.open(faq.name, indexes=tmp_path).encoder
    assert [facts["failed"] for facts in exports()] == [""]


ROWS = [{"id": f"{at}", "size": at % 9, "says": f"{SENTENCES[at % 4]} {at}"} for at in range(20)]


def built_of_rows(rows, model, tmp_path):
    """Return an index of rows whose texts go through `model`."""
    return es.build(
        rows, name="rows", rows=True, id="id", indexes=tmp_path, model=model, precision="fp32", device="cpu"
    )


def test_the_export_of_texts_of_rows_is_compared_and_refused(small_model, monkeypatch, tmp_path, caplog):
    """Where rows get other vectors, the export of their texts' model is refused, once."""
    built_of_rows(ROWS, small_model("bert"), tmp_path)
    wrong(monkeypatch, by=0.5)
    with caplog.at_level(logging.WARNING, "embedsearch"):
        used = [es.open("rows", indexes=tmp_path).encoder.engine for _ in range(2)]
    assert used == ["torch", "torch"]
    assert len(caplog.records) == 1
    assert ["gives other vectors of its items" in facts["failed"] for facts in exports()] == [True]


def test_a_table_of_numbers_and_given_vectors_export_nothing(small_model, tmp_path):
    """An index that embeds no text has no model to export, and says nothing of one."""
    numbers = [{key: value for key, value in row.items() if key != "says"} for row in ROWS]
    built_of_rows(numbers, small_model("bert"), tmp_path)
    np.save(tmp_path / "v.npy", np.eye(8, dtype=np.float32))
    es.build(tmp_path / "v.npy", name="given", indexes=tmp_path, progress=(progress := Told()))
    assert exports() == []
    assert not [each for each in progress.stages if "preparing" in each]


@pytest.mark.parametrize("damage", ["altered", "no sums", "a list"])
def test_a_damaged_export_is_made_again(small_model, damage):
    """An export is not used whose weights were altered at the same size, or whose facts name no checksums."""
    opened(small_model("bert"))
    (weights,) = (cache_folder() / "exported").glob("*/model.bin")
    whole = weights.read_bytes()
    if damage == "altered":
        weights.write_bytes(whole[:-4] + b"\0\0\0\x40")
    else:
        facts = {"sha256": {} if damage == "no sums" else []}
        (weights.parent / "facts.json").write_text(json.dumps(facts))
    assert opened(small_model("bert")).engine == "openvino"
    assert weights.read_bytes() == whole
    assert set(exports()[0]["sha256"]) == {"model.xml", "model.bin", "tokenizer.json"}


def test_one_of_two_exports_the_model(small_model, monkeypatch):
    """Who finds the model being exported waits, and takes what the other has exported."""
    begun, keep, kept = threading.Barrier(2), export.keep, []

    def counted(*arguments):
        kept.append(keep(*arguments))

    def started(recipe):
        begun.wait()
        return asked(recipe)

    asked = export.asked
    monkeypatch.setattr(export, "keep", counted)
    monkeypatch.setattr(export, "asked", started)
    with ThreadPoolExecutor(2) as pool:
        used = list(pool.map(lambda _: opened(small_model("bert")).engine, range(2)))
    assert (used, len(kept)) == (["openvino", "openvino"], 1)


def test_an_export_that_is_lost_at_once_is_not_refused(small_model, monkeypatch):
    """A passing fault, such as a cache that is cleared meanwhile, lets torch serve once and is not kept."""

    def lost(*arguments):
        kept(*arguments)
        clear_cache()

    kept = export.keep
    with monkeypatch.context() as patched:
        patched.setattr(export, "keep", lost)
        assert opened(small_model("bert")).engine == "torch"
    assert exports() == []
    assert opened(small_model("bert")).engine == "openvino"


def test_the_tokenizer_of_an_open_export_is_at_hand(small_model):
    """An export that was opened needs its files no more: another process may clear the cache."""
    opened(small_model("bert"))
    spec = encoders.encoder_spec(recipe_of(small_model("bert")))
    found = open_exported(recipe_of(small_model("bert")), spec)
    clear_cache()
    assert Tokenizer.kept(found)(["a cat"], offsets=False)[0].ids


def test_a_failed_export_leaves_shared_models_in_fp32(small_model, monkeypatch):
    """The export does not hand a model to others whose precision then changes with the query encoder's."""
    wrong(monkeypatch, by=0.5)
    query = opened(small_model("bert"), precision="bf16")
    assert (query.engine, query.precision) == ("torch", "bf16")
    exact = opened(small_model("bert"), "torch")
    assert {each.dtype for each in exact._engine.head.model.parameters()} == {torch.float32}
    assert exact.hidden_states(SENTENCES[0]).rows.dtype == np.float32


def test_without_openvino_torch_serves(small_model, monkeypatch):
    """Without OpenVINO a query goes through torch, and nothing is exported."""
    monkeypatch.setattr(encoders, "has_openvino", lambda: False)
    assert opened(small_model("bert")).engine == "torch"
    assert exports() == []
