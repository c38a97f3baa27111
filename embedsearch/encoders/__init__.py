"""The encoders: a batch of texts, words or images in, float32 vectors (n, d) out.

An encoder works in two steps, so that reading can run beside computing: `prepare` reads and
tokenises or decodes items one by one (a bad one becomes an `ItemError` in its place), `run` takes the
prepared items through the model in batches. `encode` does both, for callers with a few items.
To add a family: a file here with a class of the `Encoder` shape, and its name in a row of
`embedsearch.modalities`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Vectors
from embedsearch.errors import ItemError, ModelError, UsageError
from embedsearch.modalities import PROJECTION, UNITS, QueryForm
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import PREPARATION, EncoderRecipe, layers_of, unit_of
from embedsearch.records import Matrix, Span, Unit

if TYPE_CHECKING:
    from embedsearch.encoders.hidden_states import HiddenStates


@dataclass(slots=True)
class Prepared:
    """One item, ready for the model.

    Attributes:
        inputs: the model's arguments, without the batch axis.
        cost: tokens (of an image, its views); batches are filled by it.
        units: the spans that get a vector each; None where the item has just one vector.
        parts: of a long text its passages, one for each of `units`; `inputs` is empty then.
        truncated: whether the model's limit cut the text.
        lost: words of the sentence that get no vector: they lie beyond the limit, or the model does not
            know them.
        unknown: share (0 to 1) of the text that the model does not know; 0 for what is no text.
        notes: what was done to show what the item holds.
    """

    inputs: Mapping[str, npt.NDArray[np.generic]]
    cost: int
    units: tuple[Span, ...] | None = None
    truncated: bool = False
    lost: int = 0
    notes: tuple[str, ...] = ()
    unknown: float = 0.0
    parts: tuple[Prepared, ...] = ()

    @property
    def rows(self) -> int:
        """How many vectors the item has."""
        return 1 if self.units is None else len(self.units)


class Encoder(Protocol):
    """Turns items into vectors. The vectors are pooled and not normalised."""

    spec: EncoderSpec
    dimension: int
    device: str
    precision: str
    engine: str
    decoding: str

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Any]:
        """Read and tokenise or decode `items`.

        Returns:
            One `Prepared`, or the `ItemError` that says why not, per item.
        """

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """Take items through the model, in batches of its own choice.

        Yields:
            The position of each item in `prepared`, in any order, and its vectors: (1, d) float32, or
            one row per span. Of several items that follow each other, all vectors may come with the
            position of the last.

        Raises:
            DeviceError: the device's memory does not hold even one item.
        """

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """Return the vectors of `items`, in their order.

        Args:
            items: texts (str), `Sentence`s, or images (path, bytes or `PIL.Image.Image`).
            role: `query` or `passage`; some models put different prompts before the two.

        Returns:
            (n, d) float32: a row per item, or per span of each sentence in turn.

        Raises:
            ItemError: an item can't be read.
            UsageError: `items` is not a list, or `role` is unknown.
        """

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:
        """Return the hidden states of one item, computed in float32 by torch whatever the engine is.

        Args:
            item: a text, a `Sentence` of one span, or an image, as in `encode`.
            role: as in `encode`.

        Raises:
            ItemError: the item can't be read.
            ModelError: which token of this model stands for which part of an image is unknown.
        """


@runtime_checkable
class Columnar(Protocol):
    """What an encoder of vectors made elsewhere has beside `Encoder`."""

    def encode_matrix(self, vectors: Matrix) -> Vectors | None:
        """Return vectors as `encode` does, (n, d) float32; None where one of them can't be used."""


def all_ready(items: Sequence[Any], prepared: Sequence[Prepared | ItemError]) -> list[Prepared]:
    """Return what `Encoder.prepare` made of `items`.

    Raises:
        ItemError: one of them can't be read; named, where it is a file.
    """
    ready = []
    for given, item in zip(items, prepared, strict=True):
        if isinstance(item, ItemError):
            raise ItemError(f"{given}: {item}") if isinstance(given, Path) else item
        ready.append(item)
    return ready


def encode_all(encoder: Encoder, items: Sequence[Any], role: Role) -> Vectors:
    """Prepare items and take them through the model; see `Encoder.encode`."""
    _check_items(items, role)
    ready = all_ready(items, encoder.prepare(items, role))
    return gather(ready, encoder.run(ready), encoder.dimension)


def _check_items(items: Any, role: Any) -> None:
    """Check the arguments of `Encoder.encode`.

    Raises:
        UsageError: the items are no list (each letter of a single text would get a vector), or the role is
            unknown.
    """
    if isinstance(items, str | bytes | Path) or not hasattr(items, "__len__"):
        raise UsageError(f"encode() takes a list of items, as in encode(['a cat']); got {items!r:.60}.")
    if role not in get_args(Role):
        raise UsageError(f"The role is one of {', '.join(get_args(Role))}; got {role!r:.60}.")


def encode_queries(encoder: Encoder, items: Sequence[Any]) -> tuple[Vectors, list[Prepared]]:
    """Return the vectors of queries, (n, d) float32, and what the encoder prepared of each.

    Raises:
        ItemError: one of them can't be read.
    """
    ready = all_ready(items, encoder.prepare(items, "query"))
    return gather(ready, encoder.run(ready), encoder.dimension), ready


def unreadable(encoder: Encoder, items: Sequence[Any], role: Role = "passage") -> dict[int, str]:
    """Return the positions of items that an encoder can't read, with the reasons; see `Encoder.encode`."""
    prepared = encoder.prepare(items, role)
    return {at: str(each) for at, each in enumerate(prepared) if isinstance(each, ItemError)}


def gather(prepared: Sequence[Prepared], ran: Iterable[tuple[int, Vectors]], dimension: int) -> Vectors:
    """Lay the vectors that `Encoder.run` yields in the order of `prepared`: (n, d) float32."""
    end = 0
    ends = [end := end + item.rows for item in prepared]
    out = np.empty((end, dimension), np.float32)
    for position, vectors in ran:
        out[ends[position] - len(vectors) : ends[position]] = vectors
    return out


def has_openvino() -> bool:
    """Whether the extra `openvino` is installed."""
    return importlib.util.find_spec("openvino") is not None


def encoder_spec(recipe: EncoderRecipe) -> EncoderSpec:
    """Return what the vectors of the encoder that `recipe` names mean, from its files: nothing is loaded.

    Raises:
        ModelError: the model can't be found or can't be used as asked (see its subclasses).
    """
    if recipe.own:
        from embedsearch.encoders.own import own_spec

        return own_spec(recipe)
    if spec := UNITS[recipe.unit].spec:
        return cast(EncoderSpec, _named(spec)(recipe))
    from embedsearch.models.files import find_files
    from embedsearch.models.spec import make_spec

    return make_spec(recipe, find_files(recipe))


def preparation_of(unit: Unit) -> int:
    """Return the version of how a new index of a unit has its images prepared; 1 for other units."""
    return PREPARATION if UNITS[unit].form is QueryForm.IMAGE else 1


def open_encoder(recipe: EncoderRecipe) -> Encoder:
    """Load the model that `recipe` names onto its device.

    Raises:
        ModelError: the model can't be found, loaded or used as asked (see its subclasses).
    """
    if recipe.own:
        raise ModelError(
            f"The vectors are made by the encoder {recipe.model!r} of a Python program, which is not at "
            "hand here. Search with an item or a vector, or in Python: embedsearch.open(NAME, encoder=...)."
        )
    row = UNITS[recipe.unit]
    if row.spec:
        return cast(Encoder, _named(row.encoder)(recipe))
    from embedsearch.models.files import find_files
    from embedsearch.models.spec import make_spec

    files = find_files(recipe)
    spec = make_spec(recipe, files)
    name = row.tower if row.tower and spec.pooling == PROJECTION else row.encoder
    return cast(Encoder, _named(name)(recipe, spec, files))


def _named(name: str) -> Any:
    """Return what a row of a table names, as "module:attribute"."""
    module, attribute = name.split(":")
    return getattr(import_module(module), attribute)


def load_encoder(
    model: str = "",
    *,
    unit: Unit | str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    patch_tokens_only: bool = False,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    decoding: str = "auto",
    views: str = "auto",
    revision: str = "",
    batch_tokens: int = 0,
) -> Encoder:
    """Load a model that turns items into vectors.

    Args:
        model: a name of `embedsearch models`, a hub id, or a folder; empty for the bundled text model
            (the bundled image model for `unit="image"`).
        unit: `text`, `word`, `token` or `image`; empty to take what the model reads.
        pooling: `cls` or `mean` (texts, images), `projection` (texts and images of a model of two towers,
            such as CLIP), `mean` or `first` (words); empty for what the model declares.
        layers: hidden layers to average: -1 is the last, 0 the embedding layer's output.
        patch_tokens_only: leave CLS and register tokens out of an image's mean.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`; `auto` takes the fastest, of this and of the next, whose
            vectors keep a cosine of 0.999 to those of torch in fp32.
        engine: `auto`, `torch` or `openvino`.
        decoding: `auto`, `full`, or `draft`, which decodes large JPEGs at a smaller scale; `auto` drafts
            where the cosine to decoding in full stays over 0.999.
        views: what of an image its vector is made of: `centre` (what the model's own preprocessing takes),
            `whole`, or `both` (the mean of their vectors); `auto` takes both where the longer side is over
            1.3 times the shorter.
        revision: a branch, tag or commit on the hub.
        batch_tokens: padded tokens in one batch; 0 lets the encoder choose.

    Returns:
        An encoder whose `encode(items)` gives (n, d) float32 vectors, pooled, not normalised.

    Raises:
        ModelError: the model can't be found, loaded or used as asked.

    Example:
        >>> load_encoder("all-MiniLM-L6-v2", precision="fp32").encode(["a cat", "a kitten"]).shape
        (2, 384)
    """
    from embedsearch.models.files import absolute_model, default_unit

    model = absolute_model(model)
    chosen = unit_of(unit) if unit else default_unit(model, revision)
    recipe = EncoderRecipe(
        unit=chosen,
        model=model,
        revision=revision,
        pooling=pooling,
        layers=layers_of(layers),
        patch_tokens_only=patch_tokens_only,
        precision=precision,
        engine=engine,
        decoding=decoding,
        views=views,
        device=device,
        batch_tokens=batch_tokens,
        preparation=preparation_of(chosen),
    )
    return open_encoder(recipe)
