"""The JSON of hits and of comparisons, and that only its users load pydantic."""

import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime

import numpy as np
import pytest

from embedsearch.analysis.compare import Comparison as Compared
from embedsearch.distances.metric import Metric
from embedsearch.query import MoreLike
from embedsearch.serve.schemas import Comparison, ExplainOutput, Hit
from tests.fakes import text


def test_hits_are_plain_json(make_searcher):
    """Dates and moments become ISO texts, numbers that JSON lacks become null; the rest stays."""
    fields = {
        "day": date(2024, 5, 17), "at": datetime(2024, 5, 17, 8, 30),
        "utc": datetime(2024, 5, 17, tzinfo=UTC), "n": 3, "x": 0.5, "yes": True, "no": None,
        "name": "ü", "nan": math.nan, "inf": -math.inf,
    }  # fmt: skip
    hit = make_searcher([text("a", "apple", **fields)]).search("apple", k=1)[0]
    assert {name: hit.fields[name] for name in fields if name != "nan"} == {
        name: value for name, value in fields.items() if name != "nan"
    }
    printed = json.loads(json.dumps(Hit.of(hit).model_dump(mode="json"), allow_nan=False))
    assert printed == {
        "rank": 1, "id": "a", "distance": pytest.approx(0, abs=1e-6), "modality": "text", "text": "apple",
        "path": None, "span": None,
        "fields": {
            "day": "2024-05-17", "at": "2024-05-17T08:30:00", "utc": "2024-05-17T00:00:00+00:00", "n": 3,
            "x": 0.5, "yes": True, "no": None, "name": "ü", "nan": None, "inf": None,
        },
        "percentile": None, "closeness": None, "score": None, "unknown": 0.0, "gone": False,
        "found_by": "", "copies": 0, "moment": None, "rerank_score": None, "lit": [], "bm25": None,
        "passage": None,
    }  # fmt: skip


def test_an_image_is_printed_without_its_bytes(colours):
    """A hit on an image that has no file of its own has a path of null, and no bytes."""
    hits = {hit.id: hit for hit in colours.search(MoreLike("red"), k=4)}
    printed = Hit.of(hits["white"]).model_dump(mode="json")
    assert (printed["path"], printed["text"], printed["modality"]) == (None, None, "image")
    assert all(not isinstance(value, bytes) for value in printed.values())


def test_an_explanation_is_plain_json(fruits):
    """Spans, parts and numbers are lists and numbers; what an item of text lacks is null."""
    made = fruits.explain("pear", "apple")
    printed = ExplainOutput.of(fruits.manifest, made).printed()
    json.dumps(printed, allow_nan=False)
    assert printed["words"] == [{"text": "apple", "span": [0, 5], "score": made.words[0].score}]
    assert (printed["grid"], printed["typical"], printed["box"]) == (None, None, None)


def test_a_comparison_is_rounded():
    """Distances have 6 digits, percentiles 4; without random pairs there are no percentiles."""
    table = np.array([[0, 1 / 3], [1 / 3, 0]], np.float32)
    compared = Compared(("a", "b"), table, 100 * table, None, Metric.COSINE, "m", "mean", (-1,))
    made = Comparison.of(compared)
    assert made.distances == [[0, 0.333333], [0.333333, 0]]
    assert made.percentiles == [[0, 33.3333], [33.3333, 0]]
    bare = Compared(("a", "b"), table, None, None, Metric.COSINE, "m", "mean", (-1,))
    assert Comparison.of(bare).percentiles is None


def test_help_loads_no_pydantic():
    """`import embedsearch`, `import embedsearch.cli` and `--help` leave pydantic and torch alone."""
    code = (
        "import sys, embedsearch, embedsearch.cli\n"
        "for name in ([], ['search']):\n"
        "    try: embedsearch.cli.cli([*name, '--help'])\n"
        "    except SystemExit: pass\n"
        "print(sorted({'pydantic', 'torch', 'faiss', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
