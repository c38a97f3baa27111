"""The text tower of a dual encoder: one tower for texts, one for images, one space for both.

CLIP: Radford et al. 2021. SigLIP: Zhai et al. 2023; SigLIP 2: Tschannen et al. 2025. The vector of a text is
what `get_text_features` of transformers gives, that of an image what `get_image_features` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedsearch.encoders import Prepared
from embedsearch.encoders.engines.exported import Kept
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.encoders.text import Padding, TextEncoder, Tokenizer, unpooled_text
from embedsearch.errors import ModelError
from embedsearch.models.files import TOKENIZER_FILES, ModelFiles
from embedsearch.models.spec import Role

if TYPE_CHECKING:
    from embedsearch.encoders.pooling_heads import PoolingHead

# These models were trained on texts padded to their full length, and read the padding too.
PADDED = ("siglip", "siglip2")


class TextTower(TextEncoder):
    """One vector per text, comparable with those of the images of the same checkpoint."""

    def load(self, files: ModelFiles) -> tuple[Tokenizer, PoolingHead]:
        """Load the checkpoint without its other tower; see `TextModel.load`."""
        from torch import nn

        from embedsearch.encoders.engines.devices import load_transformer
        from embedsearch.encoders.pooling_heads import TowerPoolingHead

        model: Any = load_transformer(files.folder, whole=True)
        other = "audio_model" if hasattr(model, "audio_model") else "vision_model"
        setattr(model, other, nn.Identity())  # images or sounds are another encoder's
        loaded, length = _tokenizer(files), self.spec.max_length
        padding = Padding(
            loaded.pad_token_id or 0,
            has_mask="attention_mask" in loaded.model_input_names,
            width=length or 0 if model.config.model_type in PADDED else 0,
            left=loaded.padding_side == "left",
        )
        made = Tokenizer.of if loaded.is_fast else _Slow
        return made(loaded, length, padding), TowerPoolingHead(model, self.spec)

    def kept(self, head: PoolingHead) -> Kept | None:
        """Return the tokenizer, where it is a fast one; see `ModelEncoder.kept`."""
        return None if isinstance(self._tokenizer, _Slow) else super().kept(head)

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:
        """Take a text apart into its tokens; see `Encoder.hidden_states`."""
        import torch

        prompt = self.spec.prompts[role]
        encoding = self._tokenizer([prompt + item], offsets=True)[0]
        count = len(encoding.ids)
        prepared = Prepared({"input_ids": np.asarray(encoding.ids, np.int64)}, cost=count)
        inputs = {name: torch.tensor(array) for name, array in self.collate([prepared]).items()}
        with torch.inference_mode():
            unpooled = head.unpooled(**{name: tensor.to(self.device) for name, tensor in inputs.items()})
        first = len(unpooled.rows) - count if self._tokenizer.padding.left else 0
        rows, weights = unpooled.rows[first : first + count], unpooled.weights[:count]  # without padding
        unpooled = unpooled._replace(rows=rows, weights=weights / weights.sum())
        return unpooled_text(unpooled, encoding, range(count), len(prompt))


class _Encoding(NamedTuple):
    """The ids of a text, and whether the limit cut it, as `tokenizers.Encoding` has them."""

    ids: list[int]
    overflowing: bool


class _Slow(Tokenizer):
    """A tokenizer of transformers that has no fast form. It does not say where tokens stand in a text."""

    def __init__(self, loaded: Any, length: int | None, padding: Padding) -> None:
        super().__init__(loaded, -1, padding)
        self._length = length

    def __call__(self, texts: Sequence[str], *, offsets: bool) -> list[Any]:
        """See `Tokenizer.__call__`.

        Raises:
            ModelError: offsets are asked for.
        """
        if offsets:
            raise ModelError(
                f"{self._backend.name_or_path} has only a slow tokenizer, which does not say where tokens "
                "stand in a text."
            )
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        if not texts:
            return []
        with self._lock:
            whole = self._backend(texts, verbose=False)["input_ids"]
            cut = self._backend(texts, truncation=True, max_length=self._length)["input_ids"]
        return [_Encoding(ids, len(all_ids) > len(ids)) for ids, all_ids in zip(cut, whole, strict=True)]

    def unknown(self, texts: Sequence[str], encodings: Sequence[Any], prompt: str) -> list[float]:  # noqa: ARG002
        """Return 0 for each text: what is unknown can't be told without offsets."""
        return [0.0] * len(texts)


def _tokenizer(files: ModelFiles) -> Any:
    from transformers import AutoTokenizer

    # without any, transformers would make an empty one
    if not any((files.folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(f"{files.folder} has no tokenizer, so its text tower can't be used. Fetch it again.")
    try:
        return AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{files.folder} has no tokenizer that transformers can load ({first}), so its text tower can't "
            "be used."
        ) from error
