"""`auto` takes what was measured to be fastest on this machine, and measures once."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from embedsearch import encoders
from embedsearch.cli import cli
from embedsearch.disk.cache import cache_folder
from embedsearch.encoders import load_encoder
from embedsearch.encoders.engines import measure, rates
from embedsearch.encoders.engines.machine import cpu_has_bf16
from embedsearch.encoders.engines.rates import Kind, Rate

needs_openvino = pytest.mark.skipif(not encoders.has_openvino(), reason="the extra openvino is not installed")


@pytest.mark.rates
@pytest.mark.openvino
@needs_openvino
@pytest.mark.parametrize("kind", Kind)
def test_each_engine_is_measured_in_each_precision_once(kind, monkeypatch):
    """Both engines are measured in fp32, transformers also in bf16 where the processor has it; then kept."""
    found = rates.rates(kind)
    precisions = ["fp32", "bf16"] if kind is Kind.ATTENTION and cpu_has_bf16() else ["fp32"]
    assert {(each.engine, each.precision) for each in found} == {
        (engine, precision) for engine in ("torch", "openvino") for precision in precisions
    }
    assert [each.rate for each in found] == sorted((each.rate for each in found), reverse=True)
    assert found[-1].rate > 0
    monkeypatch.setattr(measure, "measured", lambda _: pytest.fail("it was measured again"))
    assert [(each.engine, each.precision) for each in rates.rates(kind)] == [
        (each.engine, each.precision) for each in found
    ]


@pytest.mark.rates
def test_another_processor_is_measured_again(monkeypatch):
    """Rates hold for the processor that they were measured on, also where its host's name stays."""
    monkeypatch.setattr(measure, "measured", lambda _: [Rate("torch", "fp32", 5.0)])
    rates.rates(Kind.ATTENTION)
    assert rates.known_rates(Kind.ATTENTION)
    monkeypatch.setattr(rates, "processor", lambda: "another")
    assert not rates.known_rates(Kind.ATTENTION)


@pytest.mark.rates
@pytest.mark.openvino
@needs_openvino
@pytest.mark.parametrize("kind", Kind)
def test_measuring_loads_no_transformers(kind, monkeypatch):
    """`embedsearch models --here` measures within seconds: transformers alone takes as long to load."""
    monkeypatch.setattr(measure, "_rate", lambda *_: 1.0)
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, name)
    assert len(list(measure.measured(kind))) >= 2
    assert "transformers" not in sys.modules


@pytest.mark.rates
@pytest.mark.parametrize("kind", Kind)
def test_measuring_leaves_the_random_state(kind, monkeypatch):
    """What the caller's program draws at random by torch does not change because rates were measured."""
    monkeypatch.setattr(encoders, "has_openvino", lambda: False)
    monkeypatch.setattr(measure, "_rate", lambda *_: 1.0)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert list(measure.measured(kind))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("fastest", "rounds"), [(0.0, measure.ROUNDS), (1e12, 1)])
def test_what_is_far_slower_is_measured_once(monkeypatch, fastest, rounds):
    """An engine runs once to begin with and for three rounds; for one where another is far faster."""
    monkeypatch.setattr(measure, "SECONDS", 0.0)
    started = []
    engine = SimpleNamespace(
        batch_tokens=128, ahead=0, start=lambda inputs: started.append(inputs) or (lambda: None)
    )
    rate = measure._rate(engine, lambda count: count, SimpleNamespace(is_transformer=True), fastest)
    assert started == [2] * (1 + rounds)
    assert rate > 0


@pytest.mark.rates
def test_what_was_kept_and_is_damaged_is_measured_again(monkeypatch):
    """A file of the cache that can't be read is measured anew."""
    monkeypatch.setattr(measure, "measured", lambda _: [Rate("torch", "fp32", 5.0)])
    rates.rates(Kind.ATTENTION)
    (kept,) = (cache_folder() / "rates").iterdir()
    kept.write_text("{")
    assert rates.rates(Kind.ATTENTION) == [Rate("torch", "fp32", 5.0)]
    assert json.loads(kept.read_text()) == [["torch", "fp32", 5.0]]


@pytest.mark.openvino
@needs_openvino
@pytest.mark.parametrize("first", [("torch", "fp32"), ("openvino", "fp32"), ("torch", "bf16")])
def test_auto_takes_what_is_fastest_here(small_model, monkeypatch, first):
    """Engine and precision of the highest rate are taken where they keep a cosine of 0.999."""
    others = [("openvino", "fp32"), ("torch", "fp32")]
    order = [Rate(*each, 1.0) for each in (first, *others)]
    monkeypatch.setattr(rates, "rates", lambda _: order)
    encoder = load_encoder(str(small_model("bert")), device="cpu")
    assert (encoder.engine, encoder.precision) == first
    assert load_encoder(str(small_model("bert")), device="cpu", precision="fp32").precision == "fp32"


def test_models_here_shows_what_was_measured(monkeypatch):
    """`models --here` prints each rate, and as JSON under `here`."""
    monkeypatch.setattr(
        rates, "rates", lambda kind: [Rate("torch", "fp32", 1234.5)] if kind == "attention" else []
    )
    shown = CliRunner().invoke(cli, ["models", "--here"]).output
    assert ["attention", "torch", "fp32", "1,234"] in [line.split() for line in shown.splitlines()]
    assert "To measure again" in shown
    here = json.loads(CliRunner().invoke(cli, ["models", "--here", "--json"]).output)["here"]
    assert here == [{"kind": "attention", "engine": "torch", "precision": "fp32", "rate": 1234.5}]
