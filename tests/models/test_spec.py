import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from embedsearch.encoders import load_encoder
from embedsearch.errors import ModelError
from embedsearch.models.files import find_files
from embedsearch.models.spec import make_spec
from embedsearch.recipe import VIEWS, EncoderRecipe
from embedsearch.records import Unit

FLAGS = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def spec_of(folder, unit=Unit.TEXT, **options):
    """Return the specification of the model in `folder`."""
    recipe = EncoderRecipe(unit, str(folder), **options)
    return make_spec(recipe, find_files(recipe))


@pytest.fixture
def model(small_model, tmp_path):
    """A copy of the small BERT that a test may change."""
    return shutil.copytree(small_model("bert"), tmp_path / "model")


def declare(folder, pooling, *more):
    """Write what sentence-transformers writes about a model: its modules, and its pooling's configuration."""
    kinds = ["Transformer", "Pooling", *more]
    modules = [
        {"idx": at, "name": str(at), "path": f"{at}_{kind}" if at else "", "type": f"some.package.{kind}"}
        for at, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


@pytest.mark.parametrize(("flag", "pooling"), [("cls_token", "cls"), ("mean_tokens", "mean")])
def test_the_declared_pooling_is_taken_from_old_flags(model, flag, pooling):
    """One truth value per mode, as sentence-transformers wrote until version 5."""
    declare(model, {f"pooling_mode_{name}": name == flag for name in FLAGS})
    assert spec_of(model).pooling == pooling


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_declared_pooling_is_taken_from_the_new_key(model, pooling):
    """`pooling_mode`, as sentence-transformers writes it since."""
    declare(model, {"embedding_dimension": 32, "pooling_mode": pooling, "include_prompt": True})
    assert spec_of(model).pooling == pooling


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"pooling_mode": "max"}, "'max'"),
        ({"pooling_mode": "lasttoken"}, "'lasttoken'"),
        ({"pooling_mode_lasttoken": True}, "'lasttoken'"),
        ({"pooling_mode_weightedmean_tokens": True}, "'weightedmean'"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "'mean_sqrt_len'"),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, r"'cls\+max'"),
    ],
)
def test_a_declared_pooling_that_is_not_supported_is_named(model, config, named):
    """A model trained for another pooling is refused by default, and can still be told one."""
    declare(model, config)
    with pytest.raises(ModelError, match=rf"declares the pooling {named}; .*--pooling"):
        spec_of(model)
    assert spec_of(model, pooling="cls").pooling == "cls"


def test_an_unknown_module_is_named(model):
    """A model that puts more together than is supported is refused unless a pooling is asked for."""
    declare(model, {"pooling_mode": "mean"}, "LSTM")
    with pytest.raises(ModelError, match="modules that are not supported: LSTM"):
        spec_of(model)
    assert spec_of(model, pooling="mean").pooling == "mean"


@pytest.fixture
def dense_model(model, tmp_path):
    """Return a model with two Dense layers and Normalize behind its pooling, and who made it."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(0)
    theirs = SentenceTransformer(
        modules=[
            Transformer(str(model)), Pooling(32, pooling_mode="mean"), Dense(32, 24),
            Dense(24, 8, bias=False, activation_function=torch.nn.Identity()), Normalize(),
        ],
        device="cpu",
    )  # fmt: skip
    theirs.save_pretrained(str(tmp_path / "dense"))
    return tmp_path / "dense", theirs


def test_dense_layers_are_honoured(dense_model):
    """Dense layers stand behind the declared pooling, as in sentence-transformers; nothing is normalised."""
    folder, theirs = dense_model
    encoder = load_encoder(str(folder), device="cpu", precision="fp32")
    got, want = encoder.encode(["a cat sleeps", "x"]), theirs.encode(["a cat sleeps", "x"])
    lengths = np.linalg.norm(got, axis=1, keepdims=True)
    assert encoder.dimension == 8
    assert abs(lengths - 1).min() > 1e-3
    np.testing.assert_allclose(got / lengths, want, rtol=0, atol=1e-5)
    assert load_encoder(str(folder), pooling="mean").dimension == 8  # the declared one
    assert load_encoder(str(folder), pooling="cls").dimension == 32  # another: without what belongs to it


def test_dense_weights_are_part_of_the_fingerprint(dense_model):
    """Another Dense layer makes another encoder; a pooling that does without it does not know it."""
    folder, _ = dense_model
    before = spec_of(folder).fingerprint, spec_of(folder, pooling="cls").fingerprint
    weights = folder / "2_Dense" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert spec_of(folder).fingerprint != before[0]
    assert spec_of(folder, pooling="cls").fingerprint == before[1]


def test_a_dense_layer_of_another_width_is_named(dense_model):
    """Dense weights that do not fit behind the model's vector are one sentence."""
    import torch
    from safetensors.torch import save_file

    folder = dense_model[0] / "2_Dense"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "in_features": 40}))
    state = {"linear.weight": torch.zeros(24, 40), "linear.bias": torch.zeros(24)}
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"can't be run: mat1 and mat2 shapes"):
        load_encoder(str(dense_model[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "torch.nn.Softmax"}, "activation Softmax"),
        ({"in_features": 3}, "can't be loaded"),
        ({"in_features": "3"}, "can't be loaded"),
    ],
)
def test_a_dense_layer_that_can_not_be_used_is_named(dense_model, change, message):
    """An unknown activation, and weights of another shape, are one sentence."""
    config = dense_model[0] / "2_Dense" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(ModelError, match=message):
        load_encoder(str(dense_model[0]))


def test_a_model_saved_by_sentence_transformers_is_read(model, tmp_path):
    """What the installed sentence-transformers writes is understood, and gives its vectors."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    theirs = SentenceTransformer(
        modules=[Transformer(str(model)), Pooling(32, pooling_mode="mean")], device="cpu"
    )
    theirs.save_pretrained(str(tmp_path / "saved"))
    encoder = load_encoder(str(tmp_path / "saved"), device="cpu", precision="fp32")
    assert encoder.spec.pooling == "mean"
    assert abs(encoder.encode(["a cat sleeps"]) - theirs.encode(["a cat sleeps"])).max() <= 1e-5


def test_a_model_that_declares_nothing_gets_cls(model):
    """A plain text model is read at its [CLS] position; words, tokens and images have their own rule."""
    assert spec_of(model).pooling == "cls"
    assert spec_of(model, Unit.WORD).pooling == "mean"
    assert spec_of(model, Unit.TOKEN).pooling == "row"


def test_the_bundled_model_is_read_as_it_was_trained():
    """all-MiniLM-L6-v2 declares the mean."""
    assert spec_of("all-MiniLM-L6-v2").pooling == "mean"
    assert spec_of("all-MiniLM-L6-v2", pooling="cls").pooling == "cls"


@pytest.mark.parametrize(
    ("unit", "pooling"), [(Unit.TEXT, "first"), (Unit.TEXT, "max"), (Unit.WORD, "cls"), (Unit.TOKEN, "mean")]
)
def test_a_pooling_that_does_not_exist_is_refused(model, unit, pooling):
    """The poolings of each unit are named."""
    with pytest.raises(ModelError, match=rf"{pooling!r} does not exist for {unit}s; there is "):
        spec_of(model, unit, pooling=pooling)


def test_a_bundled_model_of_the_other_modality_is_refused():
    """Images can't be embedded by the text model: the right default is named."""
    with pytest.raises(ModelError, match="such as efficientnet-lite2"):
        spec_of("all-MiniLM-L6-v2", Unit.IMAGE)
    with pytest.raises(ModelError, match="such as all-MiniLM-L6-v2"):
        spec_of("efficientnet-lite2", Unit.WORD)


def test_no_layer_is_refused(model):
    """An empty list of layers is an error."""
    with pytest.raises(ModelError, match="No hidden layer"):
        spec_of(model, layers=())


def test_the_smallest_declared_limit_counts(model):
    """max_length is the least of the configuration's positions, the tokenizer's and the model card's."""
    assert spec_of(model).max_length == 128
    (model / "sentence_bert_config.json").write_text('{"max_seq_length": 77}')
    assert spec_of(model).max_length == 77
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": int(1e30)}))
    assert spec_of(model).max_length == 77


@pytest.mark.parametrize("name", ["roberta", "mpnet"])
def test_positions_behind_the_padding_index_are_not_counted_twice(small_model, name, tmp_path):
    """130 positions of RoBERTa and MPNet, whose count starts behind the padding index, serve 128 tokens."""
    folder = shutil.copytree(small_model(name), tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": int(1e30)}))
    assert spec_of(folder).max_length == 128
    assert load_encoder(str(folder)).encode(["cat " * 500]).shape == (1, 32)


def test_prompts_are_for_texts_only(model):
    """Declared prompts belong to whole texts; a word's sentence is embedded as it stands."""
    declared = {"prompts": {"query": "query: ", "passage": "passage: "}}
    (model / "config_sentence_transformers.json").write_text(json.dumps(declared))
    assert spec_of(model).prompts == {"query": "query: ", "passage": "passage: "}
    assert spec_of(model, Unit.WORD).prompts == {"query": "", "passage": ""}


def test_a_copied_and_renamed_model_is_the_same(model, tmp_path):
    """The fingerprint hashes content: neither the folder nor what the model is called enters."""
    copy = shutil.copytree(model, tmp_path / "elsewhere" / "renamed")
    config = json.loads((copy / "config.json").read_text())
    noise = {"_name_or_path": "/somebody/else", "transformers_version": "4.0.0"}
    (copy / "config.json").write_text(json.dumps({**config, **noise}))
    shutil.move(copy / "model.safetensors", copy / "weights.safetensors")
    assert spec_of(copy).fingerprint == spec_of(model).fingerprint
    assert len(spec_of(model).fingerprint) == 64


def change_weights(folder):
    """Flip one bit of the weights."""
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_json(name, **values):
    """Return a function that changes entries of a JSON file of the model."""

    def change(folder):
        path = folder / name
        old = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**old, **values}))

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_weights,
        change_json("tokenizer_config.json", do_lower_case=False),
        change_json("tokenizer.json", normalizer=None),
        change_json("config.json", hidden_act="relu"),
        change_json("sentence_bert_config.json", max_seq_length=64),
        change_json("config_sentence_transformers.json", prompts={"query": "query: "}),
        change_json("config_sentence_transformers.json", prompts={"passage": "passage: "}),
    ],
    ids=[
        "weights",
        "tokenizer-config",
        "tokenizer",
        "config",
        "max-length",
        "query-prompt",
        "passage-prompt",
    ],
)
def test_whatever_changes_the_vectors_changes_the_fingerprint(model, change):
    """Weights, tokenizer, configuration, limit or prompts: another content is another fingerprint."""
    before = spec_of(model).fingerprint
    change(model)
    assert spec_of(model).fingerprint != before


def test_every_choice_of_the_recipe_changes_the_fingerprint(model):
    """Unit, pooling and layers are part of what a vector means."""
    choices = [
        spec_of(model), spec_of(model, pooling="mean"), spec_of(model, layers=(-2,)),
        spec_of(model, layers=(-1, -2)), spec_of(model, Unit.WORD),
        spec_of(model, Unit.WORD, pooling="first"), spec_of(model, Unit.TOKEN),
    ]  # fmt: skip
    assert len({spec.fingerprint for spec in choices}) == len(choices)
    same = replace(choices[0], model="another name", revision="abc")
    assert same.fingerprint == choices[0].fingerprint


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_preprocessing_is_part_of_an_image_fingerprint(small_model, tmp_path, name):
    """Other pixels make other vectors, in whichever file transformers keeps the preprocessing."""
    folder = shutil.copytree(small_model("vit"), tmp_path / "vit")
    shutil.move(folder / "preprocessor_config.json", folder / name)
    before = spec_of(folder, Unit.IMAGE).fingerprint
    change_json(name, image_mean=[0.1, 0.2, 0.3])(folder)
    after = spec_of(folder, Unit.IMAGE)
    assert after.fingerprint != before
    assert after.fingerprint != spec_of(folder, Unit.IMAGE, patch_tokens_only=True).fingerprint


def test_how_images_are_prepared_is_part_of_the_fingerprint(small_model):
    """Views and version change it; version 1, that of 0.6, adds nothing to it."""
    folder = small_model("vit")
    first = spec_of(folder, Unit.IMAGE)
    assert first.preparation == 1
    specs = [first, *(spec_of(folder, Unit.IMAGE, preparation=2, views=views) for views in VIEWS)]
    assert len({spec.fingerprint for spec in specs}) == len(specs)
    content = {
        "unit": "image", "pooling": "mean", "layers": [-1], "patch_tokens_only": False, "max_length": None,
        "prompts": dict(first.prompts), "files": dict(first.files),
    }  # fmt: skip
    told = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert first.fingerprint == told
