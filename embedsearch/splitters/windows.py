"""A sound to windows: stretches of equal length, each of which gets a vector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from embedsearch.errors import ItemError, RecipeError
from embedsearch.modalities import WINDOWS
from embedsearch.records import Clip, Span
from embedsearch.splitters.sound import scan


def split_windows(sound: Path | bytes, rule: str = WINDOWS) -> Iterator[tuple[int, Clip]]:
    """Yield where each window starts, in milliseconds, and the window; silent ones are left out.

    Args:
        sound: the file, or its bytes.
        rule: see `seconds_of`.

    Raises:
        ItemError: as `embedsearch.splitters.sound.scan`; behind the last window, where the rest is lost.
        OSError: the file can't be read.
    """
    found = scan(sound)
    length, hop = (round(1000 * each) for each in seconds_of(rule))
    for span in windows(found.milliseconds, length, hop):
        if not found.is_silent(span):
            yield span[0], Clip(sound, span)
    if found.problem:
        raise ItemError(found.problem)


def windows(total: int, length: int, hop: int) -> list[Span]:
    """Return `[start, end)` of the windows of a sound, in milliseconds; the last one ends with the sound.

    Args:
        total: milliseconds of the sound.
        length: of a window.
        hop: from the start of one window to the next.
    """
    count = 1 + max(0, -(-(total - length) // hop))
    return [(at * hop, min(at * hop + length, total)) for at in range(count) if at * hop < total]


def seconds_of(rule: str) -> tuple[float, float]:
    """Return the length and the hop, in seconds, of a rule such as "10/5".

    Raises:
        RecipeError: it is no such rule.
    """
    try:
        length, hop = (float(each) for each in rule.split("/"))
    except ValueError:
        length = hop = 0
    if not (0.1 <= length <= 3600 and 0.1 <= hop <= length):
        raise RecipeError(
            f"Windows are given as seconds of one and seconds to the next, as in 10/5, the second no more "
            f"than the first, both from 0.1 (the first to 3,600); got {rule!r:.40}."
        )
    return length, hop
