"""What turns sounds into vectors: the bundled spectrogram encoder, and any audio encoder of transformers."""

from __future__ import annotations

from embedsearch.encoders import Encoder
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe


def sound_encoder(recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> Encoder:
    """Return the encoder of sounds that a model is for."""
    if files.row and files.row.package:
        from embedsearch.encoders.audio.bundled import SpectrogramEncoder

        return SpectrogramEncoder(recipe, spec, files)
    from embedsearch.encoders.audio.transformer import TransformerEncoder

    return TransformerEncoder(recipe, spec, files)
