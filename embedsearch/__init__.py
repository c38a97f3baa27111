"""Semantic similarity search: embed images, texts, sounds, videos, rows and words, and search them.

>>> import embedsearch as es
>>> ix = es.build(["a cat", "a dog"], name="pets")
>>> es.build("questions.csv", name="faq", text="question")
>>> es.open("faq").search("how do I get my money back", k=5)

Names are imported on first use, so that `import embedsearch` loads neither torch nor faiss.
"""

import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedsearch.api import (
        align,
        build,
        calibrate,
        compare,
        gc,
        list_indexes,
        list_models,
        remove,
        rollback,
        verify,
    )
    from embedsearch.distances.metric import Metric, distances
    from embedsearch.encoders import Encoder, load_encoder
    from embedsearch.errors import EmbedsearchError
    from embedsearch.index import Index, changes, rebuild
    from embedsearch.index import open_index as open
    from embedsearch.models.spec import EncoderSpec
    from embedsearch.query import Image, MoreLike, Query, Row, Sound, Text, Vector, WeightedTerm, Word
    from embedsearch.recipe import EncoderOptions, IndexOptions
    from embedsearch.records import Modality, Record, Rejected, Sentence, Unit
    from embedsearch.results import Hit, Results
    from embedsearch.serve.client import connect

__version__ = "0.12.0"

# public name -> where it is defined
_HOMES = {
    "EmbedsearchError": "errors:EmbedsearchError",
    "Encoder": "encoders:Encoder",
    "EncoderOptions": "recipe:EncoderOptions",
    "EncoderSpec": "models.spec:EncoderSpec",
    "Hit": "results:Hit",
    "Image": "query:Image",
    "Index": "index:Index",
    "IndexOptions": "recipe:IndexOptions",
    "Metric": "distances.metric:Metric",
    "Modality": "records:Modality",
    "MoreLike": "query:MoreLike",
    "Query": "query:Query",
    "Record": "records:Record",
    "Rejected": "records:Rejected",
    "Results": "results:Results",
    "Row": "query:Row",
    "Sound": "query:Sound",
    "Sentence": "records:Sentence",
    "Text": "query:Text",
    "Unit": "records:Unit",
    "Vector": "query:Vector",
    "WeightedTerm": "query:WeightedTerm",
    "Word": "query:Word",
    "align": "api:align",
    "build": "api:build",
    "calibrate": "api:calibrate",
    "changes": "index:changes",
    "compare": "api:compare",
    "connect": "serve.client:connect",
    "distances": "distances.metric:distances",
    "gc": "api:gc",
    "list_indexes": "api:list_indexes",
    "list_models": "api:list_models",
    "load_encoder": "encoders:load_encoder",
    "open": "index:open_index",
    "rebuild": "index:rebuild",
    "remove": "api:remove",
    "rollback": "api:rollback",
    "verify": "api:verify",
}
# name of 0.6 -> the name that replaces it; 1.0 drops them
_RENAMED = {
    "Answer": "Results",
    "Like": "MoreLike",
    "Part": "WeightedTerm",
    "Picture": "Image",
    "Searcher": "Index",
}

__all__ = [
    "EmbedsearchError",
    "Encoder",
    "EncoderOptions",
    "EncoderSpec",
    "Hit",
    "Image",
    "Index",
    "IndexOptions",
    "Metric",
    "Modality",
    "MoreLike",
    "Query",
    "Record",
    "Rejected",
    "Results",
    "Row",
    "Sentence",
    "Sound",
    "Text",
    "Unit",
    "Vector",
    "WeightedTerm",
    "Word",
    "align",
    "build",
    "calibrate",
    "changes",
    "compare",
    "connect",
    "distances",
    "gc",
    "list_indexes",
    "list_models",
    "load_encoder",
    "open",
    "rebuild",
    "remove",
    "rollback",
    "verify",
]


class _Package(ModuleType):
    """This package. Python sets a room that is imported as an attribute; one would hide a public name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(
            f"embedsearch.{name} is now embedsearch.{new}; the old name goes with 1.0.",
            DeprecationWarning,
            stacklevel=2,
        )
        return __getattr__(new)
    if name not in _HOMES:
        raise AttributeError(f"module 'embedsearch' has no attribute {name!r}")
    home, attribute = _HOMES[name].split(":")
    value = getattr(import_module(f"embedsearch.{home}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
