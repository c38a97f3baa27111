"""Semantic similarity search: embed pictures, texts and words, index them, search them.

>>> import embedsearch as es
>>> es.build("questions.csv", name="faq", text="question")          # doctest: +SKIP
>>> es.open("faq").search("how do I get my money back", k=5)        # doctest: +SKIP

Names are imported on first use, so that `import embedsearch` loads neither torch nor faiss.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedsearch.api import align, build, calibrate, changes, compare, rebuild
    from embedsearch.distances.metric import Metric, distances
    from embedsearch.encoders import Encoder, load_encoder
    from embedsearch.errors import EmbedsearchError
    from embedsearch.index import Index
    from embedsearch.index import open_index as open
    from embedsearch.models.spec import EncoderSpec
    from embedsearch.query import Like, Part, Picture, Query, Text, Vector, Word
    from embedsearch.records import Modality, Record, Rejected, Sentence, Unit
    from embedsearch.results import Answer, Hit

__version__ = "0.6.0"

# public name -> where it is defined
_HOMES = {
    "EmbedsearchError": "errors:EmbedsearchError",
    "Encoder": "encoders:Encoder",
    "EncoderSpec": "models.spec:EncoderSpec",
    "Answer": "results:Answer",
    "Hit": "results:Hit",
    "Like": "query:Like",
    "Metric": "distances.metric:Metric",
    "Modality": "records:Modality",
    "Part": "query:Part",
    "Picture": "query:Picture",
    "Query": "query:Query",
    "Record": "records:Record",
    "Rejected": "records:Rejected",
    "Index": "index:Index",
    "Sentence": "records:Sentence",
    "Text": "query:Text",
    "Unit": "records:Unit",
    "Vector": "query:Vector",
    "Word": "query:Word",
    "align": "api:align",
    "build": "api:build",
    "calibrate": "api:calibrate",
    "changes": "api:changes",
    "compare": "api:compare",
    "distances": "distances.metric:distances",
    "load_encoder": "encoders:load_encoder",
    "open": "index:open_index",
    "rebuild": "api:rebuild",
}

__all__ = [
    "Answer",
    "EmbedsearchError",
    "Encoder",
    "EncoderSpec",
    "Hit",
    "Index",
    "Like",
    "Metric",
    "Modality",
    "Part",
    "Picture",
    "Query",
    "Record",
    "Rejected",
    "Sentence",
    "Text",
    "Unit",
    "Vector",
    "Word",
    "align",
    "build",
    "calibrate",
    "changes",
    "compare",
    "distances",
    "load_encoder",
    "open",
    "rebuild",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'embedsearch' has no attribute {name!r}")
    home, attribute = _HOMES[name].split(":")
    value = getattr(import_module(f"embedsearch.{home}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
