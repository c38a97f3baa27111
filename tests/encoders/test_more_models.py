"""Models people look for, beyond `tests.small_models`: architectures, and what the hub puts beside them."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embedsearch.encoders import load_encoder
from embedsearch.models.catalog import MODELS
from embedsearch.records import Modality, Sentence, Unit
from embedsearch.splitters.words import words
from tests.encoders import test_images, test_text, test_words
from tests.encoders.test_images import pictures
from tests.encoders.test_text import LONG
from tests.models.test_spec import declare
from tests.small_models import HEADS, HIDDEN, LAYERS, SENTENCES

ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
DEBERTA_SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
SHAPE = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 64,
}
_SEARCH = "Represent this sentence for searching relevant passages: "
# What stands before a query and before a passage, copied from the model cards.
PROMPTS = {
    "BAAI/bge-small-en-v1.5": (_SEARCH, ""),
    "BAAI/bge-base-en-v1.5": (_SEARCH, ""),
    "BAAI/bge-large-en-v1.5": (_SEARCH, ""),
    "intfloat/e5-small-v2": ("query: ", "passage: "),
    "intfloat/e5-base-v2": ("query: ", "passage: "),
    "intfloat/e5-large-v2": ("query: ", "passage: "),
    "intfloat/multilingual-e5-small": ("query: ", "passage: "),
    "intfloat/multilingual-e5-base": ("query: ", "passage: "),
    "intfloat/multilingual-e5-large": ("query: ", "passage: "),
    "nomic-ai/modernbert-embed-base": ("search_query: ", "search_document: "),
    "mixedbread-ai/mxbai-embed-large-v1": (_SEARCH, ""),
    "Snowflake/snowflake-arctic-embed-xs": (_SEARCH, ""),
    "Snowflake/snowflake-arctic-embed-s": (_SEARCH, ""),
    "Snowflake/snowflake-arctic-embed-m": (_SEARCH, ""),
    "Snowflake/snowflake-arctic-embed-m-v1.5": (_SEARCH, ""),
    "Snowflake/snowflake-arctic-embed-l": (_SEARCH, ""),
    "Snowflake/snowflake-arctic-embed-l-v2.0": ("query: ", ""),
}


def unigram(special):
    """Return the pieces and scores of a SentencePiece-like vocabulary: parts of words, long ones likelier."""
    marked = ["▁" + word for text in SENTENCES for word in text.split()]
    parts = {word[at : at + size] for word in marked for size in (1, 2, 3) for at in range(len(word))}
    return [(piece, 0.0) for piece in special] + [(part, -3.0 - len(part)) for part in sorted(parts)]


def xlm_roberta(folder):
    """XLM-R: SentencePiece, positions behind the padding index, no limit in the tokenizer's settings."""
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    pieces = unigram(ROBERTA_SPECIAL)
    XLMRobertaTokenizer(vocab=pieces).save_pretrained(folder)
    config = XLMRobertaConfig(
        **SHAPE, vocab_size=len(pieces), max_position_embeddings=130, type_vocab_size=1, pad_token_id=1
    )
    XLMRobertaModel(config).save_pretrained(folder)


def deberta(folder):
    """DeBERTa-v3: SentencePiece, log-bucketed relative positions alone, keys shared with them."""
    from transformers import DebertaV2Config, DebertaV2Model, DebertaV2Tokenizer

    pieces = unigram(DEBERTA_SPECIAL)
    DebertaV2Tokenizer(vocab=pieces, unk_id=3).save_pretrained(folder)
    config = DebertaV2Config(
        **SHAPE, vocab_size=len(pieces), max_position_embeddings=128, relative_attention=True,
        position_buckets=16, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"],
        max_relative_positions=-1, position_biased_input=False, type_vocab_size=0,
    )  # fmt: skip
    DebertaV2Model(config).save_pretrained(folder)


def square(folder, kind="ViTImageProcessor", **options):
    """Save the image processor of class `kind`: 32 pixels square."""
    import transformers

    size = {"height": 32, "width": 32}
    getattr(transformers, kind)(size=size, **options).save_pretrained(folder)


def efficientnet(folder, **options):
    """EfficientNet: a map (B, 32, 4, 4), batch norm with statistics, weights that let images differ."""
    from transformers import EfficientNetConfig, EfficientNetModel

    square(folder, "EfficientNetImageProcessor", **options)
    config = EfficientNetConfig(
        image_size=32, width_coefficient=0.025, depth_coefficient=0.3, hidden_dim=HIDDEN,
        num_block_repeats=[1, 1, 1], kernel_sizes=[3, 5, 3], in_channels=[32, 16, 24],
        out_channels=[16, 24, 40], strides=[1, 2, 2], expand_ratios=[1, 6, 6],
    )  # fmt: skip
    model = EfficientNetModel(config)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.save_pretrained(folder)


def efficientnet_top(folder):
    """EfficientNet as google/efficientnet-b0 declares it: normalised twice."""
    efficientnet(folder, include_top=True)


def efficientnet_offset(folder):
    """EfficientNet whose processor moves the range to [-1, 1] before it normalises."""
    efficientnet(folder, include_top=False, rescale_offset=True, rescale_factor=1 / 127.5)


def efficientnet_plain(folder):
    """EfficientNet whose processor does what every other does."""
    efficientnet(folder, include_top=False)


def convnext_v2(folder):
    """ConvNeXt V2: a map, the response normalised over positions, a processor that crops by a share."""
    from transformers import ConvNextImageProcessor, ConvNextV2Config, ConvNextV2Model

    ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875).save_pretrained(folder)
    config = ConvNextV2Config(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    model = ConvNextV2Model(config)
    for name, parameter in model.named_parameters():
        if ".grn." in name:  # zero at first, which would switch it off
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)


def swin_v2(folder):
    """Swin V2: windows, cosine attention, no CLS."""
    from transformers import Swinv2Config, Swinv2Model

    square(folder)
    config = Swinv2Config(
        image_size=32, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    Swinv2Model(config).save_pretrained(folder)


def dinov2_interpolated(folder):
    """DINOv2 with registers as on the hub: trained on larger images than its processor gives."""
    from transformers import BitImageProcessor, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    size = {"height": 32, "width": 32}
    BitImageProcessor(size={"shortest_edge": 40}, crop_size=size).save_pretrained(folder)
    config = Dinov2WithRegistersConfig(
        image_size=48, patch_size=8, hidden_size=HIDDEN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, mlp_ratio=2, num_register_tokens=3,
    )  # fmt: skip
    Dinov2WithRegistersModel(config).save_pretrained(folder)


TEXTS = {"xlm-roberta": xlm_roberta, "deberta-v3": deberta}
CNNS = {
    "efficientnet-top": efficientnet_top,
    "efficientnet-offset": efficientnet_offset,
    "efficientnet-plain": efficientnet_plain,
    "convnext-v2": convnext_v2,
}
TRANSFORMERS = {"swin-v2": swin_v2, "dinov2-interpolated": dinov2_interpolated}


@pytest.fixture(scope="session")
def more(tmp_path_factory):
    """Return the folder of a model of this file by its name, made on first use with a fixed seed."""
    root = tmp_path_factory.mktemp("more-models")

    def folder(name):
        path = root / name
        if not path.is_dir():
            path.mkdir()
            with torch.random.fork_rng():
                torch.manual_seed(7)
                {**TEXTS, **CNNS, **TRANSFORMERS}[name](path)
        return path

    return folder


@pytest.fixture
def hub_named(tmp_path, monkeypatch):
    """Return a function that copies a model to where its hub id is a folder that can be named."""
    monkeypatch.chdir(tmp_path)

    def copy(folder, name):
        return shutil.copytree(folder, tmp_path / name)

    return copy


def plain_rows(folder, texts):
    """Return `last_hidden_state` of each text, (T, D), by the plain transformers call."""
    return [test_text.plain(folder, text)[1][0].numpy() for text in texts]


def normalise(folder, pooling):
    """Declare what bge and gte do: a pooling, and `Normalize` behind it."""
    flags = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens")}
    declare(folder, {"word_embedding_dimension": HIDDEN, **flags})
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_text_is_the_plain_call(more, tmp_path, name, pooling):
    """XLM-R and DeBERTa-v3 give [:, 0, :] or .mean(1) of the plain call to 1e-5, padded and cut at 128."""
    encoder = load_encoder(more(name).as_posix(), pooling=pooling, precision="fp32")
    texts = [*SENTENCES, "tokens that nobody saw: 日本", LONG]
    assert encoder.spec.max_length == 128
    assert [item.truncated for item in encoder.prepare(texts)] == [False] * (len(texts) - 1) + [True]
    # the plain call knows no limit but the tokenizer's
    limited = shutil.copytree(more(name), tmp_path / name)
    settings = json.loads((limited / "tokenizer_config.json").read_text())
    (limited / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 128}))
    want = [rows[0] if pooling == "cls" else rows.mean(0) for rows in plain_rows(limited, texts)]
    np.testing.assert_allclose(encoder.encode(texts), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_word_is_its_own_rows(more, name, pooling):
    """A word that SentencePiece splits is the mean of its pieces' rows, or the first, to 1e-5."""
    encoder = load_encoder(more(name).as_posix(), unit="word", pooling=pooling, precision="fp32")
    texts = [*SENTENCES, " two  spaces before the 日本 bank"]
    got = encoder.encode([Sentence(text, words(text)) for text in texts])
    want, split, unknown = [], 0, test_words.tokenizer_of(more(name)).unk_token_id
    for text in texts:
        rows, inputs = test_words.plain(more(name), text)
        for span in words(text):
            tokens = test_words.tokens_of(inputs, span)
            if set(inputs["input_ids"][0][tokens].tolist()) == {unknown}:
                continue  # a word that the model does not know has no vector
            own = rows[tokens]
            split += len(own) > 1
            want.append(own.mean(0) if pooling == "mean" else own[0])
    assert split > 5, "words of several pieces must be among them"
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_a_model_with_spm_model_alone_is_read(more, tmp_path):
    """microsoft/deberta-v3-base ships spm.model and no tokenizer.json: it gives the very same vectors."""
    from transformers.convert_slow_tokenizer import import_protobuf

    folder = shutil.copytree(more("deberta-v3"), tmp_path / "deberta")
    (folder / "tokenizer.json").unlink()
    settings = {"do_lower_case": False, "vocab_type": "spm"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model = import_protobuf().ModelProto()
    for piece, score in unigram(DEBERTA_SPECIAL):
        kind = 2 if piece == "[UNK]" else 3 if piece in DEBERTA_SPECIAL else 1  # unknown, control, normal
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = 1  # Unigram
    model.trainer_spec.unk_id = 3
    (folder / "spm.model").write_bytes(model.SerializeToString())
    got = load_encoder(folder.as_posix(), precision="fp32").encode(SENTENCES)
    want = load_encoder(more("deberta-v3").as_posix(), precision="fp32").encode(SENTENCES)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_prefixes_stand_before_queries_and_documents(small_model, tmp_path):
    """A declared "search_query: " is put before queries, "search_document: " before passages."""
    folder = shutil.copytree(small_model("modernbert"), tmp_path / "nomic")
    declare(folder, {"pooling_mode_mean_tokens": True})
    prompts = {"prompts": {"query": "search_query: ", "document": "search_document: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    encoder = load_encoder(folder.as_posix(), precision="fp32")
    for role, prefix in (("query", "search_query: "), ("passage", "search_document: ")):
        want = [rows.mean(0) for rows in plain_rows(folder, [prefix + text for text in SENTENCES])]
        np.testing.assert_allclose(encoder.encode(SENTENCES, role), want, rtol=0, atol=1e-5)
    bare = [rows.mean(0) for rows in plain_rows(folder, SENTENCES)]
    assert np.abs(encoder.encode(SENTENCES) - bare).max() > 0.01


def test_gte_is_the_mean_before_its_normalize(small_model, tmp_path):
    """BERT with mean and Normalize gives the plain mean to 1e-5, in SentenceTransformer's direction."""
    from sentence_transformers import SentenceTransformer

    folder = shutil.copytree(small_model("bert"), tmp_path / "gte")
    normalise(folder, "mean")
    encoder = load_encoder(folder.as_posix(), precision="fp32")
    got = encoder.encode([*SENTENCES, LONG])
    assert encoder.spec.pooling == "mean"
    want = [rows.mean(0) for rows in plain_rows(folder, [*SENTENCES, LONG])]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    theirs = SentenceTransformer(str(folder), device="cpu").encode([*SENTENCES, LONG])
    np.testing.assert_allclose(np.linalg.norm(theirs, axis=1), 1, rtol=0, atol=1e-5)
    assert test_text.cosines(got, theirs).min() >= 0.99999
    assert np.abs(np.linalg.norm(got, axis=1) - 1).min() > 0.01, "vectors are not normalised"


def test_bge_m3_is_the_cls_row_of_pickled_weights(more, tmp_path):
    """XLM-R with CLS, Normalize and pytorch_model.bin alone gives [:, 0, :] to 1e-5, without prompts."""
    folder = shutil.copytree(more("xlm-roberta"), tmp_path / "m3")
    normalise(folder, "cls")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    encoder = load_encoder(folder.as_posix(), precision="fp32")
    assert encoder.spec.pooling == "cls"
    want = [rows[0] for rows in plain_rows(more("xlm-roberta"), SENTENCES)]
    np.testing.assert_allclose(encoder.encode(SENTENCES), want, rtol=0, atol=1e-5)
    assert np.array_equal(encoder.encode(SENTENCES, "query"), encoder.encode(SENTENCES))


@pytest.mark.parametrize("name", CNNS)
def test_a_cnn_is_the_mean_over_positions(more, name):
    """EfficientNet, however its processor scales, and ConvNeXt V2 give .mean((2, 3)) to 1e-5."""
    encoder = load_encoder(more(name).as_posix(), precision="fp32", views="centre")
    got = encoder.encode(pictures())
    want = []
    for image in pictures():
        last = test_images.plain(more(name), image)[1]
        assert last.ndim == 4
        assert last.shape[2] > 1, "one position would hide a wrong mean"
        want.append(last.mean((2, 3))[0].numpy())
    assert encoder.dimension == HIDDEN
    assert np.std(want, axis=0).mean() > 0.001, "pictures must differ"
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "patches", "skipped"),
    [
        ("swin-v2", False, 0),
        ("swin-v2", True, 0),
        ("dinov2-interpolated", False, 0),
        ("dinov2-interpolated", True, 4),
    ],
)
def test_a_transformer_is_the_mean_over_tokens(more, name, patches, skipped):
    """Swin V2 and DINOv2 on smaller images than it was trained on: plain slices averaged, to 1e-5."""
    encoder = load_encoder(more(name).as_posix(), patch_tokens_only=patches, precision="fp32", views="centre")
    last = [test_images.plain(more(name), image)[1][0] for image in pictures()]
    assert {rows.shape[0] for rows in last} == {64 if name == "swin-v2" else 1 + 3 + 16}
    want = [rows[skipped:].mean(0).numpy() for rows in last]
    np.testing.assert_allclose(encoder.encode(pictures()), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_known_name_brings_its_prompts(small_model, hub_named, name):
    """The catalogue puts the card's prompts before queries and passages of a model that declares none."""
    hub_named(small_model("roberta"), name)  # to which a space matters
    query, passage = PROMPTS[name]
    encoder = load_encoder(name, pooling="cls", precision="fp32")
    bare = load_encoder(small_model("roberta").as_posix(), pooling="cls", precision="fp32")
    assert np.array_equal(encoder.encode(["a cat"], "query"), bare.encode([query + "a cat"]))
    assert np.array_equal(encoder.encode(["a cat"]), bare.encode([passage + "a cat"]))
    assert not np.array_equal(encoder.encode(["a cat"], "query"), bare.encode(["a cat"]))


def test_no_other_name_brings_a_prompt():
    """Only the models of this list are asked with a prompt."""
    assert {row.name for row in MODELS if row.query_prompt or row.passage_prompt} == set(PROMPTS)


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("sentence-transformers/multi-qa-mpnet-base-cos-v1", "mean"),
        ("thenlper/gte-base", "mean"),
        ("nomic-ai/modernbert-embed-base", "mean"),
        ("BAAI/bge-m3", "cls"),
        ("Alibaba-NLP/gte-modernbert-base", "cls"),
        ("mixedbread-ai/mxbai-embed-large-v1", "cls"),
    ],
)
def test_a_known_name_brings_its_pooling(small_model, hub_named, name, pooling):
    """The catalogue says how to pool a model whose folder does not; what a folder says counts more."""
    folder = hub_named(small_model("bert"), name)
    encoder = load_encoder(name, precision="fp32")
    assert encoder.spec.pooling == pooling
    bare = load_encoder(small_model("bert").as_posix(), pooling=pooling, precision="fp32")
    prompt = encoder.spec.prompts["passage"]
    assert np.array_equal(encoder.encode(["a cat"]), bare.encode([prompt + "a cat"]))
    other = "cls" if pooling == "mean" else "mean"
    declare(folder, {"pooling_mode": other})
    assert load_encoder(name, precision="fp32").spec.pooling == other


@pytest.mark.parametrize(
    ("name", "small"),
    [("openai/clip-vit-base-patch32", "clip"), ("google/siglip2-base-patch16-224", "siglip")],
)
def test_a_known_name_of_two_towers_reads_images(small_model, hub_named, name, small):
    """CLIP and SigLIP ship a tokenizer too; by their names in the catalogue they are image models."""
    hub_named(small_model(small), name)
    encoder = load_encoder(name, pooling="mean", precision="fp32", views="centre")
    assert encoder.spec.unit is Unit.IMAGE
    want = [test_images.plain(small_model(small), image)[1].mean(1)[0].numpy() for image in pictures()]
    np.testing.assert_allclose(encoder.encode(pictures()), want, rtol=0, atol=1e-5)


def test_the_catalogue_is_in_order():
    """Bundled models come first, then texts, then images."""
    ranks = [0 if row.package else 1 if row.modality is Modality.TEXT else 2 for row in MODELS]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("row", MODELS, ids=lambda row: row.name)
def test_every_row_is_whole(row):
    """A row names a licence by SPDX, a limit for texts alone, and plausible sizes."""
    assert row.licence in {"Apache-2.0", "BSD-3-Clause", "MIT", "LicenseRef-DINOv3", "NOASSERTION"}
    assert row.pooling in ({"cls", "mean"} if row.modality is Modality.TEXT else {"mean", "projection"})
    assert (row.max_length is None) == (row.modality is not Modality.TEXT)
    assert row.max_length in {None, 128, 256, 384, 512, 8192}
    assert row.dimension in {384, 512, 768, 1024, 1280, 1576, 2048}
    assert 20 <= row.megabytes <= 2300
    assert row.package or row.name.count("/") == 1
