"""The bundled image model: EfficientNet-Lite2 (Tan and Le 2019; the Lite variant by Google, 2020).

Its weights come as a torch file from a package; its preprocessing is `embedsearch.encoders.vision.lite`.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from embedsearch.errors import ModelError


class EfficientNetLite(nn.Module):
    """The network with the output of a transformers model: `last_hidden_state` (B, 1280, 9, 9)."""

    dimension = 1280

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        self._network = EfficientNet.from_name("efficientnet-lite2")
        try:
            self._network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (RuntimeError, OSError, ValueError) as error:
            raise ModelError(f"{weights} can't be loaded: {error}") from error

    def forward(self, pixel_values: Tensor) -> Any:
        """Run the network without its classification head."""
        features = self._network.extract_features(pixel_values)  # (B, 3, 260, 260) -> (B, 1280, 9, 9)
        return SimpleNamespace(last_hidden_state=features)
