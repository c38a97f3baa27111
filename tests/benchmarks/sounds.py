"""Which kind of sound it is: leave-one-out 1-NN accuracy on Debian's sonic-pi-samples, kinds by their names.

The bundled encoder against the usual statistics without a model (mean and deviation of 20 MFCC,
standardised), both by cosine. `--reference` writes the average sound that the encoder subtracts, and prints
no figures.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from embedsearch.distances.metric import normalized
from embedsearch.encoders import load_encoder
from embedsearch.encoders.audio.spectrogram import BANDS, RATE, log_mel, statistics
from embedsearch.encoders.audio.spectrogram_head import REFERENCE
from embedsearch.errors import ItemError
from embedsearch.splitters.sound import read
from embedsearch.splitters.windows import split_windows

SAMPLES = Path("/usr/share/sonic-pi/samples")
THEME = Path("/usr/share/sounds/freedesktop/stereo")
LEAST = 4  # sounds of a kind


def clips(path):
    """Return the windows of a sound; none of a silent one."""
    try:
        return [clip for _, clip in split_windows(path)]
    except ItemError:
        return []


def accuracy(vectors, kinds):
    """Return the share of sounds whose nearest other one, by cosine, is of their kind; vectors (n, d)."""
    near = normalized(vectors) @ normalized(vectors).T
    np.fill_diagonal(near, -np.inf)
    return float((kinds[near.argmax(1)] == kinds).mean())


def measured(clip):
    """Return the levels and statistics of a clip, (s,)."""
    (samples,) = read(clip.source, [clip.span], RATE)
    return statistics(log_mel(samples))


def reference(found):
    """Write the average sound of clips: as the image model sees it, and as the statistics have it."""
    encoder = load_encoder(unit="sound", device="cpu", precision="fp32", engine="torch")
    head = encoder._engine.head
    pooled = []
    for prepared in encoder.prepare(found):
        apart = encoder.unpooled_states(prepared, head)
        length = -head.centre.norm() / apart.rows[0].norm()  # the rows are scaled to unit length
        rows = apart.rows[2:, : len(head.centre)] * -length
        pooled.append(rows.mean(0).numpy())
    held = np.stack([measured(clip) for clip in found])
    arrays = {"centre": np.mean(pooled, 0), "mean": held.mean(0), "deviation": held.std(0) + 1e-3}
    np.savez_compressed(REFERENCE, **{name: array.astype(np.float32) for name, array in arrays.items()})


def main():
    """Print the figures."""
    paths = sorted(SAMPLES.glob("*.flac"))
    if "--reference" in sys.argv:
        found = [clip for path in (*paths, *sorted(THEME.glob("*.oga"))) for clip in clips(path)]
        reference(found)
        return
    count = Counter(path.name.split("_")[0] for path in paths)
    found = [(path.name.split("_")[0], clips(path)[0]) for path in paths]
    found = [(kind, clip) for kind, clip in found if count[kind] >= LEAST]
    kinds, first = np.array([kind for kind, _ in found]), [clip for _, clip in found]
    held = np.stack([measured(clip) for clip in first])[:, 2 * BANDS :]
    mfcc = accuracy((held - held.mean(0)) / held.std(0), kinds)
    own = accuracy(load_encoder(unit="sound", precision="fp32").encode(first), kinds)
    print(
        f"sounds ratio={own / mfcc:.3f} (1-NN accuracy {own:.3f}, MFCC alone {mfcc:.3f}; "
        f"{len(kinds)} sounds of {len(set(kinds))} kinds)"
    )


if __name__ == "__main__":
    main()
