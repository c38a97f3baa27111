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


def masked_mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean over the tokens that are not padding (Reimers and Gurevych 2019, section 3).

    Args:
        hidden: `last_hidden_state`, (B, T, D).
        mask: `attention_mask`, (B, T), 1 for tokens and 0 for padding, a 1 in each row; None without padding.

    Returns:
        (B, D) float32.
    """
    if mask is None:
        return hidden.float().mean(1)  # (B, T, D) -> (B, D)
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


def token_rows(hidden: Tensor, tokens: Tensor, words: Tensor, sizes: Tensor) -> Tensor:
    """Return the vectors of words: each the mean of its sub-tokens' own rows, `last_hidden_state[b, t, :]`.

    Args:
        hidden: `last_hidden_state`, (B, T, D).
        tokens: (k,) int64, where the words' sub-tokens are: b * T + t.
        words: (k,) int64, which word each belongs to, 0 to n - 1.
        sizes: (n,) int64, how many sub-tokens each word has, at least one.

    Returns:
        (n, D) float32.
    """
    rows = hidden.flatten(0, 1)[tokens].float()  # (B, T, D) -> (k, D)
    sums = rows.new_zeros((sizes.shape[0], rows.shape[1])).index_add(0, words, rows)  # (k, D) -> (n, D)
    return sums / sizes.unsqueeze(1)


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
    sizes = [tuple(map(int, state.shape)) for state in chosen]
    if len(set(sizes)) > 1:
        shapes = ", ".join(str(size[1:]) for size in sizes)
        raise ModelError(f"The layers {tuple(layers)} have different shapes ({shapes}); name one layer.")
    return torch.stack([state.float() for state in chosen]).mean(0)  # (L, B, T, D) -> (B, T, D)
