"""What a manifest says of the encoder that made a build."""

from __future__ import annotations

from dataclasses import dataclass, field

from embedsearch.disk.facts import stored
from embedsearch.models.spec import EncoderSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFacts:
    """What a manifest says of the encoder that made a build.

    Attributes:
        spec: what its vectors mean.
        fingerprint: of `spec`, 64 hex digits, as computed when it was built.
        precision: `fp32`, `bf16` or `fp16`.
        engine: `torch` or `openvino`.
        decoding: `full` or `draft`; empty for texts.
        device: `cpu`, `cuda:0`, ...
    """

    spec: EncoderSpec = field(metadata=stored(flat=True))
    fingerprint: str
    precision: str
    engine: str
    decoding: str = ""
    device: str
