"""Images from disk on the CPU, against the plain loop: `Image.open`, processor, model, mean; one by one.

`image_cpu` is the bundled model on JPEGs 500 pixels wide, `image_cpu_12mp` on JPEGs of 12 megapixels,
`image_cpu_vit` ViT-B/16 with random weights on the small ones. The photos are the shared clothing photos,
enlarged; the large ones get the grain of a sensor, so that they compress as a phone's photos do. The plain
loop runs with Pillow's memory as Pillow sets it.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import embedsearch as es
from embedsearch.encoders.efficientnet_lite import EfficientNetLite
from embedsearch.encoders.vision.lite import resized
from embedsearch.models.files import find_files
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests.benchmarks.common import need
from tests.benchmarks.gpu import save_vit_base, temporary

REPEATS = 5


def save_photos(folder, count, size, grain):
    """Save `count` JPEGs of `size`; return their paths."""
    photos = sorted(need("images", "clothing", "test").rglob("*.jpg"))
    draw, paths = np.random.default_rng(0), []
    for at in range(count):
        photo = (
            Image.open(photos[at * len(photos) // count])
            .convert("RGB")
            .resize(size, Image.Resampling.LANCZOS)
        )
        noise = draw.normal(0, grain, (size[1], size[0], 1)).astype(np.float32)
        pixels = (np.asarray(photo, np.float32) + noise).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{at}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=85)
    return paths


def plain_lite2():
    """Return the bundled model as one would call it: RGB image -> (1280,)."""
    model = EfficientNetLite(find_files(EncoderRecipe(Unit.IMAGE)).weights[0]).eval()

    def embed(image):
        pixels = (torch.from_numpy(np.ascontiguousarray(resized(image))).float() - 127) / 128
        with torch.no_grad():
            hidden = model(pixel_values=pixels[None]).last_hidden_state
        return hidden.mean((2, 3))[0].numpy()  # (1, D, H, W) -> (D,)

    return embed


def plain_vit(folder):
    """Return ViT as its documentation calls it: RGB image -> (768,)."""
    from transformers import AutoImageProcessor, AutoModel

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModel.from_pretrained(folder).eval()

    def embed(image):
        with torch.no_grad():
            hidden = model(**processor(images=image, return_tensors="pt")).last_hidden_state
        return hidden.mean(1)[0].numpy()  # (1, T, D) -> (D,)

    return embed


def seconds(work):
    """Return how long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plainly(plain, paths):
    """Return how long the plain loop takes, with the memory that Pillow keeps by itself: none."""
    kept = Image.core.get_blocks_max()
    Image.core.set_blocks_max(0)
    taken = seconds(lambda: [plain(Image.open(path).convert("RGB")) for path in paths])
    Image.core.set_blocks_max(kept)
    return taken


def compare(key, encoder, plain, paths, few):
    """Print the figure of one encoder on one set of images; the plain loop reads `few` of them."""
    want = np.stack([plain(Image.open(path).convert("RGB")) for path in paths[:few]])
    got = encoder.encode(paths[:few])
    cosine = ((got * want).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(want, axis=1)).min()
    pairs = [
        (len(paths) / seconds(lambda: encoder.encode(paths)), few / plainly(plain, paths[:few]))
        for _ in range(REPEATS)
    ]
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(fast / slow for fast, slow in pairs)
    how = f"{encoder.engine} in {encoder.precision}, decoding {encoder.decoding}, least cosine {cosine:.4f}"
    print(f"{key} ratio={ratio:.2f} (ours {ours:.1f} pictures/s, {how}; peer {peer:.1f})", flush=True)


def main():
    """Print the figures."""
    folder = Path(tempfile.mkdtemp(prefix="embedsearch-bench-"))
    (folder / "small").mkdir()
    (folder / "large").mkdir()
    small = save_photos(folder / "small", 256, (500, 667), grain=2)
    large = save_photos(folder / "large", 32, (3000, 4000), grain=4)
    size = statistics.mean(path.stat().st_size for path in large) / 1e6
    print(f"large pictures: {size:.1f} MB each on average", file=sys.stderr)
    lite2 = es.load_encoder(unit="image", device="cpu")
    compare("image_cpu", lite2, plain_lite2(), small, 64)
    compare("image_cpu_12mp", lite2, plain_lite2(), large, 16)
    vit = temporary(save_vit_base)
    compare("image_cpu_vit", es.load_encoder(str(vit), device="cpu"), plain_vit(vit), small[:64], 16)


if __name__ == "__main__":
    main()
