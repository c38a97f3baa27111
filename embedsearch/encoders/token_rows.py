"""What re-ranking compares: the hidden state of each token of a text, or of each patch of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from embedsearch.distances.metric import Vectors, normalized
from embedsearch.encoders import Encoder
from embedsearch.encoders.text import TextEncoder
from embedsearch.modalities import PROJECTION
from embedsearch.models.spec import Role
from embedsearch.records import Span


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The tokens of an item.

    Attributes:
        rows: (T, d) float32, of unit length.
        spans: (T,) where each stands in the text, `[start, end)`; empty for an image.
    """

    rows: Vectors
    spans: tuple[Span, ...] = ()


def tokens_of(encoder: Encoder, items: Sequence[Any], role: Role = "passage") -> list[Tokens]:
    """Return the tokens of items, computed in float32; special tokens are left out.

    Args:
        encoder: of texts or images.
        items: texts or images, as in `Encoder.encode`.
        role: as in `Encoder.encode`.

    Raises:
        ItemError: an item can't be read.
    """
    from embedsearch.encoders.images import ImageEncoder  # a search without tokens does not wait for it

    if _tells_rows(encoder):
        found = encoder.token_rows(items, role)
        return [Tokens(normalized(rows), tuple(spans)) for rows, spans in found]
    tokens = []
    for item in items:
        if isinstance(encoder, ImageEncoder) and (patches := encoder.patch_rows(item)) is not None:
            tokens.append(Tokens(normalized(patches)))
            continue
        apart = encoder.hidden_states(item, role)
        first = len(apart.spans) - sum(view.count for view in apart.views)  # of the patches
        shown = [at for at, span in enumerate(apart.spans) if span or at >= first]
        spans = tuple(span for span in apart.spans if span)
        tokens.append(Tokens(normalized(apart.rows[shown]), spans))
    return tokens


def spans_of(encoder: Encoder, text: str) -> tuple[Span, ...]:
    """Return where each token that `tokens_of` gives stands in a text; the model does not run.

    Empty of an encoder that tells it only with the hidden states.
    """
    if not _tells_rows(encoder):
        return ()
    return tuple(span for _, span in encoder.token_spans([text], "passage")[0])


def _tells_rows(encoder: Encoder) -> TypeGuard[TextEncoder]:
    """Whether an encoder gives the tokens of many texts at once; towers of two do not."""
    return isinstance(encoder, TextEncoder) and encoder.spec.pooling != PROJECTION
