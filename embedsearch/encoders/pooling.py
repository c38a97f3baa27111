"""Hidden states to vectors: the three recipes, and nothing else.

The sums run in float32 whatever the model computed in: a bfloat16 sum of 256 rows loses two digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from embedsearch.errors import ModelError


def cls_position(hidden: Tensor) -> Tensor:
    """Return the first token's row, as BERT's authors use it (Devlin et al. 2019, section 3).

    Args:
        hidden: `last_hidden_state`, (B, T, D).

    Returns:
        (B, D) float32.
    """
    return hidden[:, 0, :].float()  # (B, T, D) -> (B, D)


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens that are not padding (Reimers and Gurevych 2019, section 3).

    Args:
        hidden: `last_hidden_state`, (B, T, D).
        mask: `attention_mask`, (B, T), 1 for tokens and 0 for padding; each row has a 1.

    Returns:
        (B, D) float32.
    """
    weights = mask.unsqueeze(-1).float()  # (B, T) -> (B, T, 1)
    return (hidden.float() * weights).sum(1) / weights.sum(1)  # (B, T, D) -> (B, D)


def image_mean(hidden: Tensor, skip: int = 0) -> Tensor:
    """Return the mean over an image's tokens, or over the positions of a CNN's map.

    Args:
        hidden: `last_hidden_state`, (B, T, D) of a vision transformer or (B, D, H, W) of a CNN.
        skip: leading tokens (CLS, registers) to leave out; 0 takes all.

    Returns:
        (B, D) float32.
    """
    if hidden.ndim == 4:
        return hidden.float().mean((2, 3))  # (B, D, H, W) -> (B, D)
    return hidden[:, skip:, :].float().mean(1)  # (B, T, D) -> (B, D)


def token_rows(hidden: Tensor, item: int, tokens: Sequence[int], pooling: str) -> Tensor:
    """Return the vector of one word: the mean of its sub-tokens' own rows, or the first one's.

    Args:
        hidden: `last_hidden_state`, (B, T, D).
        item: which sentence of the batch, b in `last_hidden_state[b, t, :]`.
        tokens: the positions t of the word's sub-tokens, at least one.
        pooling: `mean`, or `first` or `row` for the first one alone.

    Returns:
        (D,) float32.
    """
    if pooling == "mean":
        return hidden[item, list(tokens), :].float().mean(0)  # (B, T, D) -> (t, D) -> (D,)
    return hidden[item, tokens[0], :].float()  # (B, T, D) -> (D,)


def layer_mean(last: Tensor, hidden_states: Sequence[Tensor] | None, layers: Sequence[int]) -> Tensor:
    """Return the mean of several layers' hidden states, shape as one of them.

    Args:
        last: `last_hidden_state`; it stands for layer -1, as some models normalise only there.
        hidden_states: the embedding layer's output and each layer's, or None where only -1 is asked for.
        layers: which to average.

    Raises:
        ModelError: their shapes differ, as in CNNs.
    """
    if hidden_states is None or tuple(layers) == (-1,):
        return last
    chosen = [last if layer == -1 else hidden_states[layer] for layer in layers]
    if len({state.shape for state in chosen}) > 1:
        shapes = ", ".join(str(tuple(state.shape[1:])) for state in chosen)
        raise ModelError(f"The layers {tuple(layers)} have different shapes ({shapes}); name one layer.")
    return torch.stack([state.float() for state in chosen]).mean(0)  # (L, B, T, D) -> (B, T, D)
