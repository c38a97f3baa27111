"""What a sound file says of itself: its length, its sample rate, and its tags."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

from embedsearch.records import Scalar, unbroken

TAGS = ("title", "artist")
LONGEST = 200  # characters of a tag


def fields_of(content: Path | bytes) -> dict[str, Scalar]:
    """Return the fields that a sound file has of its own; its samples are not decoded.

    Args:
        content: the file, or its bytes.

    Returns:
        `duration` in seconds, `sample_rate` in Hz, `title` and `artist`; what the file does not tell is left
        out.
    """
    import av

    found: dict[str, Scalar] = {}
    with suppress(av.error.FFmpegError, OSError, ValueError):
        file = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
        with file, av.open(file, mode="r", metadata_errors="ignore") as container:
            for stream in container.streams.audio[:1]:
                tags = {name.lower(): text for name, text in (container.metadata | stream.metadata).items()}
                found |= {
                    name: unbroken(tags[name].strip()[:LONGEST])
                    for name in TAGS
                    if tags.get(name, "").strip()
                }
                if container.duration:
                    found["duration"] = round(container.duration / av.time_base, 3)
                if stream.rate:
                    found["sample_rate"] = int(stream.rate)
    return found
