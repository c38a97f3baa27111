"""Pooling heads: what an engine computes. Named arrays in, pooled hidden states out, (n, d) float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from embedsearch.encoders.pooling import cls_position, image_mean, layer_mean, masked_mean, token_rows
from embedsearch.errors import ModelError
from embedsearch.modalities import PROJECTION
from embedsearch.models.spec import EncoderSpec

# Modules that map a mean of vectors to the mean of the mapped vectors.
STRAIGHT = (nn.Sequential, nn.Linear, nn.Identity)


class Unpooled(NamedTuple):
    """The hidden states of one item before pooling, and its vector.

    Attributes:
        rows: (T, d) float32, behind the same map as the vector.
        weights: (T,) float32, the share of each row in the vector.
        vector: (d,) float32.
        exact: whether the vector is `weights @ rows`.
        map: rows and columns of a CNN's map, whose positions `rows` are; None for tokens.
    """

    rows: Tensor
    weights: Tensor
    vector: Tensor
    exact: bool
    map: tuple[int, int] | None = None


def evenly(count: int) -> Tensor:
    """Return the weights of a mean, (count,) float32."""
    return torch.full((count,), 1 / count)


class PoolingHead(nn.Module):
    """A model, and how its hidden states become one vector.

    Attributes:
        any_shape: whether images of several heights and widths come, or sounds of several lengths.
    """

    any_shape = False

    @property
    def tells_rows(self) -> bool:
        """Whether the vector is computed from the rows that `with_rows` gives."""
        return False

    def with_rows(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` does, (B, d), and the hidden states before they are pooled."""
        raise NotImplementedError

    def __init__(self, model: nn.Module, spec: EncoderSpec) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.spec = spec
        count = getattr(getattr(model, "config", None), "num_hidden_layers", None)
        for layer in spec.layers:
            if layer != -1 and (count is None or not -count - 1 <= layer <= count):
                has = f"has the layers 0 to {count} (or -1 to {-count - 1})" if count else "offers only -1"
                raise ModelError(f"{spec.model} has no hidden layer {layer}: it {has}.")

    @property
    def is_transformer(self) -> bool:
        """Whether the model is made of attention, and not of convolutions."""
        config = getattr(self.model, "config", None)
        return hasattr(getattr(config, "vision_config", config), "num_attention_heads")

    def hidden(self, **inputs: Tensor) -> Tensor:
        """Run the model: (B, T, D), or (B, D, H, W) for CNNs, the chosen layers averaged."""
        several = self.spec.layers != (-1,)
        output = self.model(**inputs, **({"output_hidden_states": True} if several else {}))
        if getattr(output, "last_hidden_state", None) is None:
            raise ModelError(f"{self.spec.model} gives no last_hidden_state. Use an encoder model.")
        return layer_mean(
            output.last_hidden_state, output.hidden_states if several else None, self.spec.layers
        )

    def unpooled(self, **inputs: Tensor) -> Unpooled:
        """Run the model on one item without padding; do not pool. The arguments are those of `forward`."""
        raise NotImplementedError

    def projected(self, tower: str, **inputs: Tensor) -> Tensor:
        """Run the tower `text` or `image` of a model of two, to where they are compared: (B, d) float32."""
        features: Tensor = getattr(self.model, f"get_{tower}_features")(**inputs).pooler_output
        return features.float()


class TextPoolingHead(PoolingHead):
    """One vector per text."""

    def __init__(self, model: nn.Module, spec: EncoderSpec, dense: Sequence[nn.Module] = ()) -> None:
        super().__init__(model, spec)
        self.dense = nn.Sequential(*dense).requires_grad_(False)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Pool each text's hidden states.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T) int64, 0 for padding; None where there is none, which runs faster.
            token_type_ids: (B, T) int64, for models that take them.
        """
        return self._pooled(self.hidden(**_given(input_ids, attention_mask, token_type_ids)), attention_mask)

    @property
    def tells_rows(self) -> bool:
        """See `PoolingHead.tells_rows`: not where rows are mapped apart from the vector, by Dense layers."""
        return not self.spec.dense

    def with_rows(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `PoolingHead.with_rows`; behind the Dense layers, if any: (B, T, d) float32."""
        hidden = self.hidden(**_given(input_ids, attention_mask, token_type_ids))
        # (B, T, D) -> (B, T, d)
        return self._pooled(hidden, attention_mask), self.dense(hidden.float()) if self.spec.dense else hidden

    def _pooled(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        # (B, T, D) -> (B, D)
        pooled = cls_position(hidden) if self.spec.pooling == "cls" else masked_mean(hidden, mask)
        return self.dense(pooled) if self.spec.dense else pooled  # (B, D) -> (B, d)

    def unpooled(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Unpooled:  # type: ignore[override]
        """See `PoolingHead.unpooled`. A linear Dense layer keeps means: W mean(h) + b = mean(W h + b)."""
        hidden = self.hidden(**_given(input_ids, None, token_type_ids))
        rows = hidden[0].float()  # (1, T, D) -> (T, D)
        straight = all(isinstance(part, STRAIGHT) for part in self.dense.modules())
        return Unpooled(
            rows=self.dense(rows) if self.spec.dense else rows,  # (T, D) -> (T, d)
            weights=evenly(len(rows)),
            vector=self._pooled(hidden, None)[0],
            exact=self.spec.pooling == "mean" and straight,
        )


class PairHead(PoolingHead):
    """How well a text answers a query, by a model for sequence classification."""

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return one score a pair, (B, 1) float32: its logit, or that of yes less that of no.

        Args:
            input_ids: (B, T) int64, of the query and the text.
            attention_mask: (B, T) int64, 0 for padding.
            token_type_ids: (B, T) int64, 1 for the text, for models that take them.
        """
        logits: Tensor = self.model(**_given(input_ids, attention_mask, token_type_ids)).logits.float()
        return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits


class TowerPoolingHead(PoolingHead):
    """One vector per text, in the space that a model of two towers has for texts and images."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Project each text, as `get_text_features` of transformers does.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T) int64, 0 for padding; None where there is none, or where padding is read.
        """
        return self.projected("text", **_given(input_ids, attention_mask, None))

    def unpooled(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Unpooled:  # type: ignore[override]
        """See `PoolingHead.unpooled`: each row is a token's hidden state, projected as the pooled one is."""
        tower: Any = self.model.text_model
        project = getattr(self.model, "text_projection", None) or tower.head  # of CLIP, and of SigLIP
        given = _given(input_ids, attention_mask, None)
        rows = project(tower(**given).last_hidden_state[0]).float()  # (1, T, D) -> (T, d)
        return Unpooled(
            rows=rows,
            weights=evenly(len(rows)),
            vector=self.projected("text", **given)[0],
            exact=False,
        )


class WordPoolingHead(PoolingHead):
    """One vector per word of each sentence."""

    def forward(
        self,
        input_ids: Tensor,
        tokens: Tensor,
        words: Tensor,
        sizes: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Pool each word's rows; the other arguments are those of `TextPoolingHead` and `token_rows`."""
        return token_rows(
            self.hidden(**_given(input_ids, attention_mask, token_type_ids)), tokens, words, sizes
        )

    def unpooled(  # type: ignore[override]
        self,
        input_ids: Tensor,
        tokens: Tensor,
        words: Tensor,
        sizes: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> Unpooled:
        """See `PoolingHead.unpooled`: the rows are those of the one word's sub-tokens."""
        hidden = self.hidden(**_given(input_ids, None, token_type_ids))
        return Unpooled(
            rows=hidden[0, tokens].float(),  # (1, T, D) -> (k, D)
            weights=evenly(len(tokens)),
            vector=token_rows(hidden, tokens, words, sizes)[0],
            exact=True,
        )


class ImagePoolingHead(PoolingHead):
    """One vector per image."""

    scale: Tensor
    shift: Tensor

    def __init__(
        self, model: nn.Module, spec: EncoderSpec, scale: Sequence[float], shift: Sequence[float]
    ) -> None:
        super().__init__(model, spec)
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.tensor(shift).view(1, 3, 1, 1))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Scale pixels here, as bytes are a quarter of what floats are to copy, and pool the hidden states.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float32 where the processor scales.
        """
        if self.spec.pooling == PROJECTION:
            return self.projected("image", pixel_values=self._scaled(pixel_values))
        return self._pooled(self._hidden_of(pixel_values), pixel_values)

    @property
    def tells_rows(self) -> bool:
        """See `PoolingHead.tells_rows`: not where the rows of a tower are projected apart from the vector."""
        return self.spec.pooling != PROJECTION

    def with_rows(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `PoolingHead.with_rows`: (B, T, D), or (B, D, H, W) of a CNN."""
        hidden = self._hidden_of(pixel_values)
        return self._pooled(hidden, pixel_values), hidden

    def _scaled(self, pixel_values: Tensor) -> Tensor:
        scaled = pixel_values.float() * self.scale + self.shift
        return scaled.to(next(self.model.parameters()).dtype)

    def _hidden_of(self, pixel_values: Tensor) -> Tensor:
        return self.hidden(pixel_values=self._scaled(pixel_values))

    def _pooled(self, hidden: Tensor, pixel_values: Tensor) -> Tensor:
        if self.spec.pooling == "cls":
            if hidden.ndim == 4:
                raise ModelError(f"{self.spec.model} is a CNN: it has no [CLS] position. Use --pooling mean.")
            return cls_position(hidden)
        return image_mean(hidden, self._prefix_tokens(hidden, pixel_values))

    def unpooled(self, pixel_values: Tensor) -> Unpooled:  # type: ignore[override]
        """See `PoolingHead.unpooled`."""
        if self.spec.pooling == PROJECTION:
            return self._unpooled_projection(pixel_values)
        hidden = self._hidden_of(pixel_values)
        # (1, D, H, W) -> (H * W, D), or (1, T, D) -> (T, D)
        rows = (hidden[0].flatten(1).T if hidden.ndim == 4 else hidden[0]).float()
        weights = torch.ones(len(rows))
        weights[: self._prefix_tokens(hidden, pixel_values)] = 0
        return Unpooled(
            rows=rows,
            weights=weights / weights.sum(),
            vector=self._pooled(hidden, pixel_values)[0],
            exact=self.spec.pooling == "mean",
            map=(int(hidden.shape[2]), int(hidden.shape[3])) if hidden.ndim == 4 else None,
        )

    def _unpooled_projection(self, pixel_values: Tensor) -> Unpooled:
        """See `PoolingHead.unpooled`: each row is a token's hidden state, projected as if it were alone."""
        model: Any = self.model
        tower = model.vision_model
        hidden = tower(pixel_values=self._scaled(pixel_values)).last_hidden_state[0]  # (1, T, D) -> (T, D)
        if hasattr(model, "visual_projection"):  # CLIP: that of the [CLS] position
            rows = model.visual_projection(tower.post_layernorm(hidden))  # (T, D) -> (T, d)
        else:  # SigLIP: attention gathers the tokens; of one token it gathers that
            rows = tower.head(hidden[:, None])  # (T, 1, D) -> (T, d)
        return Unpooled(
            rows=rows.float(),
            weights=evenly(len(rows)),
            vector=self.projected("image", pixel_values=self._scaled(pixel_values))[0],
            exact=False,
        )

    def _prefix_tokens(self, hidden: Tensor, pixels: Tensor) -> int:
        """Count the tokens to leave out (CLS, distillation, registers): T - (H / p) * (W / p)."""
        patch = getattr(self.model.config, "patch_size", None) if self.spec.patch_tokens_only else None
        if hidden.ndim == 4 or patch is None:
            return 0
        height, width = pixels.shape[2:]
        return max(0, int(hidden.shape[1]) - int(height // patch) * int(width // patch))


def _given(
    input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None
) -> dict[str, Tensor]:
    """Return the arguments that are there, by name."""
    named = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
    return {name: value for name, value in named.items() if value is not None}
