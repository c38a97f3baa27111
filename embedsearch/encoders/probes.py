"""Probes: inputs and their vectors that a build keeps, so that another machine or engine can be checked.

Two machines, engines or precisions never give the same digits. Before one of them queries an index that
another one made, it embeds the probes of the build again, once, and compares the vectors.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.disk.cache import cache_folder
from embedsearch.disk.npy import load_arrays
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, gather
from embedsearch.errors import EncoderMismatchError
from embedsearch.models.facts import EncoderFacts

COUNT = 16
# The least cosine to torch in fp32, on inputs decoded in full, that is accepted without being asked for.
CLOSE = 0.999

Probe = tuple[Prepared, Vectors]


def spread(count: int) -> list[int]:
    """Return at most `COUNT` positions of `count`, evenly spread."""
    return [at * count // COUNT for at in range(COUNT)] if count > COUNT else list(range(count))


def save(path: Path, probes: Sequence[Probe]) -> None:
    """Write probes to a .npz: of each its inputs, its cost, and its vectors (n, d) float32."""
    arrays: dict[str, Any] = {}
    for number, (prepared, vectors) in enumerate(probes):
        arrays |= {f"{number}/inputs/{name}": array for name, array in prepared.inputs.items()}
        arrays |= {f"{number}/cost": prepared.cost, f"{number}/vectors": vectors}
    aside = path.with_name(f".{path.name}")  # half of it, on a full disk, does not count
    np.savez_compressed(aside, **arrays)
    aside.replace(path)


def load(path: Path) -> list[Probe]:
    """Read what `save` has written."""
    arrays = load_arrays(path)
    probes = []
    for number in range(sum(name.endswith("/cost") for name in arrays)):
        prefix = f"{number}/inputs/"
        inputs = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
        vectors = arrays[f"{number}/vectors"]
        cost, units = int(arrays[f"{number}/cost"]), ((0, 0),) * len(vectors)
        probes.append((Prepared(inputs, cost, units=units), vectors))
    return probes


def agreement(encoder: Encoder, probes: Sequence[Probe]) -> float:
    """Return the least cosine between the probes' vectors and those that `encoder` makes of their inputs."""
    prepared = [each for each, _ in probes]
    got = gather(prepared, encoder.run(prepared), encoder.dimension)  # (n, d)
    return least_cosine(got, np.concatenate([vectors for _, vectors in probes]))


def least_cosine(got: Vectors, wanted: Vectors) -> float:
    """Return the least cosine between rows of the same place, (n, d) each; NaN counts as -1."""
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(np.nan_to_num((got * wanted).sum(1) / norms, nan=-1.0).min())


def check(encoder: Encoder, made: EncoderFacts, path: Path, mend: str) -> None:
    """Compare an encoder with the one that made a build, once per machine, where they compute differently.

    What OpenVINO computes is always compared: the model that was exported is another than the one that was
    compiled for the build.

    Args:
        encoder: the one that is here, of the same fingerprint.
        made: what the manifest says of the one that made the build.
        path: the build's probes; builds of earlier versions have none and are not checked.
        mend: the command that rebuilds the index.

    Raises:
        EncoderMismatchError: its vectors are too far from the build's.
    """
    here = (encoder.engine, encoder.precision, encoder.device.split(":")[0])
    same = here == (made.engine, made.precision, made.device.split(":")[0]) and encoder.engine != "openvino"
    if same or not path.is_file():
        return
    known = None
    with contextlib.suppress(OSError, RuntimeError):  # no home folder, or none that may be entered
        known = _known(path, here)
        if known.is_file():
            return
    cosine = agreement(encoder, load(path))
    if cosine < CLOSE:
        raise EncoderMismatchError(
            f"The index was made with {made.engine} in {made.precision} on {made.device}. Here "
            f"{' in '.join(here[:2])} on {encoder.device} gives other vectors of its items: the least cosine "
            f"is {cosine:.4f}, and {CLOSE} is needed. Run: {mend}"
        )
    with contextlib.suppress(OSError):  # without a place to note it, it is checked again next time
        if known:
            known.parent.mkdir(parents=True, exist_ok=True)
            known.write_text(f"{cosine:.6f}\n", encoding="utf-8")


def _known(path: Path, here: tuple[str, ...]) -> Path:
    """Return the file that notes that these probes were checked on this machine."""
    library = sys.modules.get(here[0])
    facts = [*here, str(getattr(library, "__version__", "")), platform.node()]
    facts.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return cache_folder() / "checked" / hashlib.sha256(repr(facts).encode()).hexdigest()
