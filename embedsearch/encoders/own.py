"""An encoder of the caller's own program: a torch module, or anything with `encode` and `name`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, encode_all, open_encoder
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import EncoderMismatchError, ItemError, ModelError
from embedsearch.modalities import QueryForm, unit_of
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe

OWN = "own"
BATCH = 256  # items that `encode` is given at a time


@runtime_checkable
class OwnEncoder(Protocol):
    """What `embedsearch.build` and `embedsearch.open` take as `encoder`.

    Attributes:
        name: what the vectors are known by. Of a torch module the weights count too; of anything else give
            another name when its vectors change.
    """

    name: str

    def encode(self, items: list[Any]) -> Any:
        """Return (n, d) numbers, an array or a tensor, for n texts (str), PIL images or vectors (d0,)."""


@dataclass(slots=True)
class _Item(Prepared):
    """An item as `OwnEncoder.encode` takes it."""

    item: Any = None


def identity_of(encoder: OwnEncoder) -> str:
    """Return 64 hex digits that stand for an encoder: of its name and, of a torch module, its weights."""
    digest = hashlib.sha256(str(encoder.name).encode())
    if hasattr(encoder, "state_dict"):
        for name, tensor in sorted(encoder.state_dict().items()):
            digest.update(f"\0{name}\0".encode() + _array(tensor).tobytes())
    return digest.hexdigest()


def own_spec(recipe: EncoderRecipe) -> EncoderSpec:
    """Return what the vectors of an encoder of the caller's own mean."""
    return EncoderSpec(
        model=recipe.model,
        revision="",
        unit=recipe.unit,
        pooling=OWN,
        layers=recipe.layers,
        patch_tokens_only=False,
        max_length=None,
        prompts={"query": "", "passage": ""},
        files={OWN: recipe.own},
    )


def loading(encoder: OwnEncoder | None) -> Callable[[EncoderRecipe], Encoder]:
    """Return what makes an encoder of its recipe: the caller's own where the recipe asks for it."""

    def load(recipe: EncoderRecipe) -> Encoder:
        return CallersEncoder(recipe, encoder) if recipe.own and encoder is not None else open_encoder(recipe)

    return load


class CallersEncoder:
    """Takes items through the caller's own encoder; see `Encoder`."""

    device, precision, engine, decoding = "cpu", "fp32", OWN, ""

    def __init__(self, recipe: EncoderRecipe, encoder: OwnEncoder) -> None:
        """Take the encoder.

        Raises:
            EncoderMismatchError: the recipe asks for another one.
        """
        if identity_of(encoder) != recipe.own:
            raise EncoderMismatchError(
                f"The index holds vectors of the encoder {recipe.model!r}; {encoder.name!r} came, or its "
                "weights are others. Give the encoder that made the index, or build it again with this one."
            )
        self.spec = own_spec(recipe)
        self.dimension = 0  # not known before the first item
        self._encoder, self._recipe = encoder, recipe

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """See `Encoder.prepare`."""
        prepared = [self._prepare(item) for item in items]
        first = next((each for each in prepared if isinstance(each, _Item)), None)
        if not self.dimension and first is not None:
            self.dimension = self._encode([first.item]).shape[1]
        return prepared

    def _prepare(self, item: Any) -> Prepared | ItemError:
        unit = self._recipe.unit
        if unit is unit_of(QueryForm.IMAGE).unit:
            from embedsearch.encoders.vision.decode import open_rgb

            try:
                return _Item({}, cost=1, item=open_rgb(item))
            except ItemError as error:
                return error
        if unit is unit_of(QueryForm.VECTOR).unit:
            if not isinstance(item, bytes) or len(item) != 4 * self._recipe.dimension:
                return ItemError(f"a vector of {self._recipe.dimension:,} numbers was expected")
            item = np.frombuffer(item, "<f4")  # (d0,)
        return _Item({}, cost=1, item=item)

    def _encode(self, items: list[Any]) -> Vectors:
        """Return the vectors of items, (n, d) float32.

        Raises:
            ModelError: the caller's encoder failed, or returned something else.
        """
        try:
            vectors = _array(self._encoder.encode(items))
        except Exception as error:  # whatever the caller's program raises
            raise ModelError(
                f"The encoder {self.spec.model!r} failed: {type(error).__name__}: {error}"
            ) from error
        if vectors.ndim != 2 or vectors.shape[1] != (self.dimension or vectors.shape[1]):
            wanted = f"({len(items)}, {self.dimension or 'd'})"
            raise ModelError(
                f"The encoder {self.spec.model!r} returned an array of the shape {vectors.shape} for "
                f"{len(items)} items; expected {wanted}."
            )
        if len(vectors) != len(items) or not vectors.shape[1]:
            raise ModelError(
                f"The encoder {self.spec.model!r} returned {len(vectors)} vectors of {vectors.shape[1]} "
                f"numbers for {len(items)} items. Return one vector for each."
            )
        return vectors

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`."""
        items = [each.item for each in prepared if isinstance(each, _Item)]
        for start in range(0, len(items), BATCH):
            for at, vector in enumerate(self._encode(items[start : start + BATCH]), start):
                yield at, vector[None]  # (d,) -> (1, d)

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        return encode_all(self, items, role)

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:  # noqa: ARG002
        """Refuse: the layers of the caller's encoder are not known.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"The vectors are made by the encoder {self.spec.model!r} of your program, whose layers are not "
            "known, so hits can't be explained."
        )


def _array(values: Any) -> Vectors:
    """Return an array or a tensor, on whatever device, as float32."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().float().numpy()
    return np.asarray(values, np.float32)
