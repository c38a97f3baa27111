"""OpenVINO computes what torch computes, is taken only where it does, and calls nobody."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from embedsearch import encoders
from embedsearch.encoders import load_encoder
from embedsearch.encoders.engines import choose as engines
from embedsearch.encoders.engines import rates
from embedsearch.encoders.engines.machine import cpu_has_bf16
from embedsearch.encoders.engines.rates import Rate
from embedsearch.errors import DeviceError, MissingExtraError, ModelError
from embedsearch.records import Sentence
from embedsearch.splitters.words import words
from tests.encoders.test_images import pictures
from tests.encoders.test_text import LONG, cosines
from tests.small_models import IMAGE_MODELS, SENTENCES, TEXT_MODELS

pytestmark = [
    pytest.mark.openvino,
    pytest.mark.skipif(not encoders.has_openvino(), reason="the extra openvino is not installed"),
]
TEXTS = [*SENTENCES, LONG, "", *reversed(SENTENCES)]


def both(folder, items, **options):
    """Return the vectors of `items` by torch and by OpenVINO, in fp32, in small batches."""
    options = {"precision": "fp32", "device": "cpu", "batch_tokens": 150, **options}
    return [load_encoder(str(folder), engine=engine, **options).encode(items) for engine in engines.ENGINES]


@pytest.mark.parametrize("name", TEXT_MODELS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_texts_are_the_same(small_model, name, pooling):
    """Every text, padded or not, long or empty, has torch's vector to 1e-5, of several layers too."""
    want, got = both(small_model(name), TEXTS, pooling=pooling, layers=(-1, 1))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_a_window_of_padding_is_seen(tmp_path):
    """OpenVINO has torch's vectors where padding fills a window of ModernBERT's, which by itself is NaN."""
    from transformers import ModernBertConfig, ModernBertModel

    from tests.small_models import _byte_bpe

    size = len(_byte_bpe(tmp_path, trims=False))
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=512, local_attention=128, global_attn_every_n_layers=3,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    ModernBertModel(config).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 512}))
    texts = ["x", "a cat sleeps " * 60, *SENTENCES]
    want = load_encoder(str(tmp_path), pooling="mean", precision="fp32", engine="torch").encode(texts)
    encoder = load_encoder(str(tmp_path), pooling="mean", device="cpu")
    assert encoder.engine == "openvino"
    assert cosines(encoder.encode(texts), want).min() >= 0.999


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_words_are_the_same(small_model, pooling):
    """Every word of every sentence has torch's vector, to 1e-5."""
    sentences = [Sentence(text, words(text)) for text in SENTENCES]
    want, got = both(small_model("bert"), sentences, unit="word", pooling=pooling)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_images_are_the_same(small_model, name):
    """Every image has torch's vector, to 1e-4 of its length."""
    want, got = both(small_model(name), pictures())
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.linalg.norm(want, axis=1).max())


def test_bf16_stays_close_to_fp32(small_model):
    """In bf16 the cosine to torch in fp32 is at least 0.9995, however the batch is made up."""
    if not cpu_has_bf16():
        pytest.skip("this processor has no bfloat16 instructions")
    want, _ = both(small_model("bert"), TEXTS, pooling="mean")
    encoder = load_encoder(str(small_model("bert")), engine="openvino", precision="bf16", pooling="mean")
    assert encoder.precision == "bf16"
    assert cosines(encoder.encode(TEXTS), want).min() >= 0.9995
    assert cosines(encoder.encode(TEXTS[2:3]), want[2:3]).min() >= 0.9995


@pytest.mark.parametrize("unit", ["text", "image"])
def test_auto_takes_openvino_for_the_bundled_models(unit):
    """`auto` takes OpenVINO on a CPU, and the vectors keep a cosine of 0.999 to torch in fp32."""
    items = pictures() if unit == "image" else TEXTS[:6]
    encoder = load_encoder(unit=unit, device="cpu")
    assert (encoder.engine, encoder.device) == ("openvino", "cpu")
    exact = load_encoder(unit=unit, device="cpu", engine="torch", precision="fp32")
    assert cosines(encoder.encode(items), exact.encode(items)).min() >= 0.999


def wrong(monkeypatch, by):
    """Let OpenVINO's vectors be off: `by` is added to every number."""
    from embedsearch.encoders.engines.openvino import OpenVinoEngine

    start = OpenVinoEngine.start
    monkeypatch.setattr(
        OpenVinoEngine, "start", lambda self, inputs: lambda: start(self, inputs)() + np.float32(by)
    )


def test_auto_leaves_an_engine_that_computes_something_else(small_model, monkeypatch):
    """Vectors too far from torch's in fp32 make `auto` go on with torch, and are an error when asked for."""
    folder = str(small_model("bert"))
    wrong(monkeypatch, by=0.5)
    assert load_encoder(folder, device="cpu").engine == "torch"
    with pytest.raises(ModelError, match=r"computes other vectors .* than torch .* Use --engine torch"):
        load_encoder(folder, device="cpu", engine="openvino")
    wrong(monkeypatch, by=np.nan)
    assert load_encoder(folder, device="cpu").engine == "torch"


def test_auto_leaves_a_precision_that_loses_too_much(small_model, monkeypatch):
    """Where bf16 gives other vectors `auto` takes fp32; asked for by name, bf16 is what comes."""
    monkeypatch.setattr(rates, "rates", lambda _: [Rate("torch", "bf16", 2.0), Rate("torch", "fp32", 1.0)])
    folder, exact = str(small_model("bert")), engines.TorchEngine.start

    def rough(self, inputs):
        spoilt = 1.0 if self.precision == "bf16" else 0.0
        return lambda: exact(self, inputs)() + np.float32(spoilt)

    monkeypatch.setattr(engines.TorchEngine, "start", rough)
    assert load_encoder(folder, device="cpu", engine="torch").precision == "fp32"
    assert load_encoder(folder, device="cpu", engine="torch", precision="bf16").precision == "bf16"


def test_a_model_that_can_not_be_traced_stays_with_torch(small_model, monkeypatch):
    """Whatever tracing raises, `auto` goes on with torch, and --engine openvino says why not in a line."""

    def broken(*_, **__):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(torch.jit, "trace", broken)
    assert load_encoder(str(small_model("bert")), device="cpu").engine == "torch"
    with pytest.raises(ModelError, match=r"OpenVINO can't run .*: no such operator\. Use --engine torch\.$"):
        load_encoder(str(small_model("bert")), device="cpu", engine="openvino")


def test_what_openvino_can_not_do_is_said(small_model, monkeypatch):
    """Unknown engines, fp16, a GPU, and OpenVINO not being there are each one sentence."""
    folder = str(small_model("bert"))
    with pytest.raises(DeviceError, match=r"Unknown engine 'openvin'.*Did you mean 'openvino'"):
        load_encoder(folder, engine="openvin")
    with pytest.raises(
        DeviceError, match="Here OpenVINO computes on the CPU only, and --device cuda was asked for"
    ):
        load_encoder(folder, engine="openvino", device="cuda")
    with pytest.raises(DeviceError, match="fp16"):
        load_encoder(folder, engine="openvino", precision="fp16")
    monkeypatch.setattr(encoders, "has_openvino", lambda: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedsearch\[openvino\]'"):
        load_encoder(folder, engine="openvino")


def test_openvino_reports_to_nobody(tmp_path):
    """OpenVINO's own reporting is off: nothing is written under the home folder, no sender is made."""
    code = (
        "import embedsearch.encoders.engines.openvino, openvino, openvino.tools.ovc.telemetry_utils as t;"
        "print(t.tm.__name__)"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("CI", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
    assert list(tmp_path.rglob("openvino*")) == []
