"""What an engine computes: a model's hidden states, pooled. Named arrays in, (n, d) float32 out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from embedsearch.encoders import EncoderSpec
from embedsearch.encoders.pooling import cls_position, image_mean, layer_mean, masked_mean, token_rows
from embedsearch.errors import ModelError


class Head(nn.Module):
    """A model, and which of its hidden states are taken."""

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
        return hasattr(getattr(self.model, "config", None), "num_attention_heads")

    def hidden(self, **inputs: Tensor) -> Tensor:
        """Run the model: (B, T, D), or (B, D, H, W) for CNNs, the chosen layers averaged."""
        several = self.spec.layers != (-1,)
        output = self.model(**inputs, **({"output_hidden_states": True} if several else {}))
        if getattr(output, "last_hidden_state", None) is None:
            raise ModelError(f"{self.spec.model} gives no last_hidden_state; take an encoder model.")
        return layer_mean(
            output.last_hidden_state, output.hidden_states if several else None, self.spec.layers
        )


class TextHead(Head):
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
        hidden = self.hidden(**_given(input_ids, attention_mask, token_type_ids))
        # (B, T, D) -> (B, D)
        pooled = cls_position(hidden) if self.spec.pooling == "cls" else masked_mean(hidden, attention_mask)
        return self.dense(pooled) if self.spec.dense else pooled  # (B, D) -> (B, d)


class WordHead(Head):
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
        """Pool each word's rows; the other arguments are those of `TextHead` and `token_rows`."""
        return token_rows(
            self.hidden(**_given(input_ids, attention_mask, token_type_ids)), tokens, words, sizes
        )


class ImageHead(Head):
    """One vector per picture."""

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
        scaled = pixel_values.float() * self.scale + self.shift
        hidden = self.hidden(pixel_values=scaled.to(next(self.model.parameters()).dtype))
        if self.spec.pooling == "cls":
            if hidden.ndim == 4:
                raise ModelError(f"{self.spec.model} is a CNN: it has no [CLS] position. Use --pooling mean.")
            return cls_position(hidden)
        return image_mean(hidden, self._prefix_tokens(hidden, pixel_values))

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
