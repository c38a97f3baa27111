import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
import torch

from embedsearch.encoders import Prepared, load_encoder, open_encoder
from embedsearch.encoders import text as text_encoders
from embedsearch.encoders.text import Padding
from embedsearch.errors import ItemError, ModelError
from embedsearch.modalities import PASSAGES
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Passages, Sentence, Unit
from tests.small_models import SENTENCES, TEXT_MODELS

LONG = " ".join(SENTENCES) * 10  # far over the limit of 128 tokens


def plain(folder, text):
    """Return all hidden states of one text by the plain transformers call, and last_hidden_state."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(text, return_tensors="pt", truncation=True)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
    return output.hidden_states, output.last_hidden_state


def cosines(a, b):
    """Return the cosine of each row of `a` with the same row of `b`."""
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(
    ("padding", "step", "most", "width"),
    [
        (Padding(0), 1, None, 5),
        (Padding(0), 16, None, 16),
        (Padding(0), 16, 7, 7),
        (Padding(0), 16, 4, 5),
        (Padding(0, has_mask=False), 16, None, 5),
        (Padding(0, width=9), 16, None, 9),
    ],
)
def test_texts_are_padded_to_a_step(padding, step, most, width):
    """The longest text is rounded up to the step, but not over the model's limit, and only under a mask."""
    batch = [Prepared({"input_ids": np.arange(1, count + 1)}, cost=count) for count in (3, 5)]
    assert padding(batch, step, most)["input_ids"].tolist() == [
        [1, 2, 3] + [0] * (width - 3),
        [1, 2, 3, 4, 5] + [0] * (width - 5),
    ]


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_a_cls_vector_is_the_first_row_of_the_plain_call(small_model, name):
    """With pooling cls a text's vector is last_hidden_state[:, 0, :], to 1e-5, padded batch or not."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), pooling="cls", precision="fp32").encode([*SENTENCES, LONG])
    want = [plain(folder, text)[1][0, 0, :].numpy() for text in [*SENTENCES, LONG]]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_a_mean_vector_is_the_mean_of_all_rows_of_the_plain_call(small_model, name):
    """With pooling mean a text's vector is last_hidden_state.mean(1) of the unpadded text, to 1e-5."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), pooling="mean", precision="fp32").encode([*SENTENCES, LONG])
    want = [plain(folder, text)[1].mean(1)[0].numpy() for text in [*SENTENCES, LONG]]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TEXT_MODELS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_neighbours_and_order_do_not_change_a_vector(small_model, name, pooling):
    """A text alone, among others, in another order or batch size has the same vector (cosine 0.99999)."""
    texts = [*SENTENCES, LONG, "", *reversed(SENTENCES)]
    whole = load_encoder(small_model(name).as_posix(), pooling=pooling, precision="fp32")
    tight = load_encoder(small_model(name).as_posix(), pooling=pooling, precision="fp32", batch_tokens=40)
    want = np.concatenate([whole.encode([text]) for text in texts])
    assert cosines(whole.encode(texts), want).min() >= 0.99999
    assert cosines(whole.encode(texts[::-1])[::-1], want).min() >= 0.99999
    assert cosines(tight.encode(texts), want).min() >= 0.99999


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_bf16_stays_close_to_fp32(small_model, name):
    """In bf16 the cosine to fp32 is at least 0.9995, and the vectors are float32 all the same."""
    exact = load_encoder(small_model(name).as_posix(), pooling="mean", precision="fp32").encode(SENTENCES)
    rough = load_encoder(small_model(name).as_posix(), pooling="mean", precision="bf16").encode(SENTENCES)
    assert rough.dtype == np.float32
    assert not np.array_equal(exact, rough)
    assert cosines(exact, rough).min() >= 0.9995


@pytest.mark.parametrize("name", TEXT_MODELS)
@pytest.mark.parametrize("layers", [0, 1, -2, (-1, -2), (0, 1)])
def test_layers_are_hidden_states_averaged(small_model, name, layers):
    """Layer n is hidden_states[n], -1 is last_hidden_state, and several are averaged before pooling."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), pooling="mean", layers=layers, precision="fp32").encode(SENTENCES)
    for row, text in zip(got, SENTENCES, strict=True):
        states, last = plain(folder, text)
        asked = (layers,) if isinstance(layers, int) else layers
        want = torch.stack([last if layer == -1 else states[layer] for layer in asked]).mean(0).mean(1)[0]
        np.testing.assert_allclose(row, want.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layers", [3, -4, (-1, 7)])
def test_a_layer_that_is_not_there_is_refused(small_model, layers):
    """A model of two layers has the hidden states 0 to 2 and says so."""
    with pytest.raises(ModelError, match=r"has the layers 0 to 2 \(or -1 to -3\)"):
        load_encoder(small_model("bert").as_posix(), layers=layers)


def test_a_long_text_is_cut_and_flagged(small_model):
    """Only a text over the limit is marked as truncated, and none has more tokens than the limit."""
    prepared = load_encoder(small_model("bert").as_posix()).prepare(["short", LONG])
    assert [item.truncated for item in prepared] == [False, True]
    assert prepared[1].cost == len(prepared[1].inputs["input_ids"]) == 128


def test_a_very_long_text_is_tokenised_in_parts(monkeypatch):
    """Where only so many characters are tokenised at a time, texts have the same passages, or none."""
    encoder = open_encoder(EncoderRecipe(Unit.TEXT, splitter=PASSAGES))
    long = "\n\n".join(f"The cat number {at} sleeps on an old mat." for at in range(300))
    texts = [Passages(long), Passages("the " * 200), Passages(" " * 400 + "A cat."), Passages("A cat.")]
    whole = encoder.prepare(texts)
    monkeypatch.setattr(text_encoders, "WINDOW", 300)
    monkeypatch.setattr(text_encoders, "PASSAGES_AHEAD", 7)
    parts = encoder.prepare(texts)
    assert [each.units for each in parts] == [each.units for each in whole]
    assert [len(each.parts) for each in parts] == [len(whole[0].parts), 0, 0, 0]
    assert len(whole[0].parts) > 50
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(one.inputs.get("input_ids", []), other.inputs.get("input_ids", []))


def test_a_prompt_stands_before_its_role_only(small_model, tmp_path):
    """The declared query prompt is put before queries, the document prompt before passages."""
    folder = shutil.copytree(small_model("bert"), tmp_path / "prompted")
    prompts = {"prompts": {"query": "numbers: ", "document": "the bank "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    prompted = load_encoder(folder.as_posix(), precision="fp32")
    bare = load_encoder(small_model("bert").as_posix(), precision="fp32")
    assert np.array_equal(prompted.encode(["cat"], "query"), bare.encode(["numbers: cat"]))
    assert np.array_equal(prompted.encode(["cat"]), bare.encode(["the bank cat"]))
    assert not np.array_equal(prompted.encode(["cat"]), bare.encode(["cat"]))


def test_no_texts_give_no_vectors(small_model):
    """An empty list gives an empty array of the right width; an empty text has a vector."""
    encoder = load_encoder(small_model("bert").as_posix())
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.encode([""]).shape == (1, 32)


def test_batches_respect_the_budget(small_model):
    """Padded tokens of a batch stay within the budget; a text dearer than that goes alone."""
    encoder = load_encoder(small_model("bert").as_posix(), batch_tokens=60)
    prepared = encoder.prepare([*SENTENCES, LONG])
    costs = [[prepared[position].cost for position in group] for group in encoder.batches(prepared)]
    assert sorted(cost for group in costs for cost in group) == sorted(item.cost for item in prepared)
    assert costs[0] == [128]
    assert all(max(group) * len(group) <= 60 for group in costs[1:])


def test_threads_may_share_an_encoder(small_model):
    """Eight threads that embed at once get what one gets alone."""
    encoder = load_encoder(small_model("bert").as_posix(), precision="fp32")
    want = encoder.encode(SENTENCES)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: encoder.encode(SENTENCES), range(40)):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_a_vision_model_embeds_no_texts(small_model):
    """A folder without a tokenizer is refused for texts, with the reason."""
    with pytest.raises(ModelError, match="no tokenizer"):
        load_encoder(small_model("vit").as_posix(), unit="text")


def test_a_model_with_a_decoder_is_refused(small_model, tmp_path):
    """An encoder-decoder model has no one last_hidden_state to read."""
    from transformers import T5Config, T5Model

    folder = shutil.copytree(small_model("bert"), tmp_path / "t5")
    T5Model(T5Config(vocab_size=99, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8)).save_pretrained(
        folder
    )
    with pytest.raises(ModelError, match="no text encoder of the BERT family"):
        load_encoder(folder.as_posix())


@pytest.mark.parametrize("damage", ["weights", "config"])
def test_damaged_model_files_are_one_sentence(small_model, tmp_path, damage):
    """Truncated weights or a configuration of an unknown model raise ModelError, not a traceback of torch."""
    folder = shutil.copytree(small_model("bert"), tmp_path / "damaged")
    if damage == "weights":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        (folder / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(ModelError, match="can't load the model"):
        load_encoder(folder.as_posix())


@pytest.mark.parametrize("unit", ["text", "word"])
def test_a_model_that_knows_no_english_is_loaded(small_model, tmp_path, unit):
    """A model of DNA reads its own words, though it knows none of the texts that engines are tried on."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path / "dna"
    shutil.copytree(small_model("bert"), folder)
    words = ["[PAD]", "[UNK]", *map("".join, product("ACGT", repeat=3))]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    text = Sentence if unit == "word" else str
    encoder = load_encoder(folder.as_posix(), unit=unit, precision="fp32")
    assert np.isfinite(encoder.encode([text("ACG TTA GGC")])).all()
    with pytest.raises(ItemError, match="can read none of it"):
        encoder.encode([text("How do I get my money back?")])
