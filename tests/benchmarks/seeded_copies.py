"""Near duplicates among 713 clothing photos with 400 copies seeded among them: precision and recall by kind.

A hundred photos each were resized to a half, compressed at JPEG quality 50, flipped left to right, or cropped
by 5 percent. Ours: `find_duplicates` with its automatic threshold. Peer: the perceptual hash dHash, 64 bits,
within 10 bits as is usual, and within the number of bits that serves it best on these very photos; grouped
by the same greedy_groups. A pair counts as found where both are in one group, and is right where one is the
other's copy.

The rule for the automatic threshold was chosen on these photos. Held out: the same on 550 of Tux Paint's
stamps, small drawings and photos, many of them variants of one another, which count as mistakes where found.
"""

import random
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import embedsearch as es
from embedsearch.analysis.duplicates import find_duplicates
from embedsearch.analysis.grouping import greedy_groups
from embedsearch.encoders.vision.decode import open_rgb
from tests.benchmarks.common import need

KINDS = ("resized", "recompressed", "flipped", "cropped")
EACH, BITS = 100, 10
STAMPS, HOW_MANY = Path("/usr/share/tuxpaint/stamps"), 550


def seed(photos, folder):
    """Write all photos, and one copy of 400 of them, into folders by kind; a copy has its photo's name."""
    for kind in ("photo", *KINDS):
        (folder / kind).mkdir()
    for path in photos:
        (folder / "photo" / f"{path.parts[-3]}-{path.name}").write_bytes(path.read_bytes())
    for place, path in enumerate(random.Random(0).sample(photos, EACH * len(KINDS))):
        kind = KINDS[place % len(KINDS)]
        image = Image.open(path).convert("RGB")
        width, height = image.size
        if kind == "resized":
            image = image.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
        elif kind == "flipped":
            image = ImageOps.mirror(image)
        elif kind == "cropped":
            left, top = round(0.025 * width), round(0.025 * height)
            image = image.crop((left, top, width - left, height - top))
        name = f"{path.parts[-3]}-{path.name}"
        image.save(folder / kind / name, quality=50 if kind == "recompressed" else 90)


def dhash(path):
    """Return whether each of 9 x 8 grey pixels is darker than the one to its right, (64,) of truth values."""
    grey = Image.open(path).convert("L").resize((9, 8), Image.Resampling.LANCZOS)
    pixels = np.asarray(grey, np.int16)
    return (pixels[:, :-1] < pixels[:, 1:]).ravel()  # (8, 9) -> (64,)


def hashed_groups(ids, hashes, bits):
    """Return groups of ids whose hashes differ by at most so many bits, as greedy_groups."""
    far = (hashes[:, None] != hashes[None]).sum(2)  # (n, 64) (n, 64) -> (n, n)
    first, second = np.nonzero(np.triu(far <= bits, 1))
    rank = np.arange(len(ids))
    distances = far[first, second].astype(float)
    kept, _ = greedy_groups(first, second, distances, rank, np.zeros(len(ids), bool), lambda _row: None)
    return [
        [ids[centre], *(ids[row] for row in np.flatnonzero(kept == centre))]
        for centre in np.unique(kept[kept >= 0])
    ]


def judged(groups):
    """Return recall and precision by kind and over all."""
    found = [pair for group in groups for pair in combinations(sorted(group), 2)]
    right = [pair for pair in found if Path(pair[0]).name == Path(pair[1]).name]

    def of(kind, pairs):
        return sum(any(each.startswith(kind + "/") for each in pair) for pair in pairs)

    told = {kind: (of(kind, right) / EACH, of(kind, right) / max(1, of(kind, found))) for kind in KINDS}
    return {**told, "all": (len(right) / EACH / len(KINDS), len(right) / max(1, len(found)))}


def f1(recall, precision):
    """Return the harmonic mean of recall and precision."""
    return 2 * recall * precision / max(recall + precision, 1e-9)


def stamps(folder):
    """Write some of the stamps as JPEG files into a folder, and return them."""
    found = [path for path in sorted(STAMPS.rglob("*.png")) if not path.stem.endswith(("_mirror", "_flip"))]
    written = []
    for place, path in enumerate(random.Random(5).sample(found, min(HOW_MANY, len(found)))):
        written.append(folder / "stamps" / "all" / f"{place}.jpg")
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        open_rgb(path).save(written[-1], quality=95)
    return written


def measure(name, photos, scratch):
    """Seed copies among photos and print the figures, one line per kind."""
    folder = scratch / name
    folder.mkdir()
    seed(photos, folder)
    built = es.build(folder, name=name, precision="fp32", indexes=scratch / "indexes")
    found = find_duplicates(built)
    ours = judged([[each.id for each in group.members] for group in found.groups])
    ids = built.build.items["id"].to_pylist()
    hashes = np.stack([dhash(folder / each) for each in ids])
    peers = {bits: judged(hashed_groups(ids, hashes, bits)) for bits in range(25)}
    best = max(peers, key=lambda bits: f1(*peers[bits]["all"]))
    print(f"{name}_threshold value={found.threshold:.4f} (cosine distance, automatic; {len(ids)} pictures)")
    for kind in (*KINDS, "all"):
        own, tuned, usual = ours[kind], peers[best][kind], peers[BITS][kind]
        print(
            f"{name}_{kind} ratio={f1(*own) / max(f1(*tuned), 0.01):.2f} "
            f"(F1; ours recall {own[0]:.3f} precision {own[1]:.3f}, "
            f"peer dHash within {best} bits recall {tuned[0]:.3f} precision {tuned[1]:.3f}, "
            f"within {BITS} recall {usual[0]:.3f} precision {usual[1]:.3f})"
        )


def main():
    """Print the figures of the photos, and of the stamps where they are installed."""
    photos = sorted(need("images", "clothing").rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as scratch:
        measure("dupes", photos, Path(scratch))
        if STAMPS.is_dir():
            measure("dupes_stamps", stamps(Path(scratch)), Path(scratch))


if __name__ == "__main__":
    main()
