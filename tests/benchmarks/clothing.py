"""Leave-one-out 1-nearest-neighbour accuracy on 713 clothing photos of 10 classes.

Ours: `embedsearch.build` of the folder. Peer: Pillow, the network and numpy, written plainly.
"""

import tempfile

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

import embedsearch as es
from embedsearch.models.files import find_files
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests.benchmarks.common import leave_one_out, need, plain_neighbours


def plain_images(paths):
    """Embed images by the plain call and the mean over positions, (n, 1280) float32."""
    weights = find_files(EncoderRecipe(Unit.IMAGE)).weights[0]
    network = EfficientNet.from_name("efficientnet-lite2").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    rows = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        side = min(image.size) * 260 / 292  # the official evaluation: a central square, bicubic
        left, top = (image.width - side) / 2, (image.height - side) / 2
        image = image.resize((260, 260), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        pixels = torch.from_numpy((np.asarray(image, np.float32) - 127) / 128).permute(2, 0, 1)[None]
        with torch.no_grad():
            rows.append(network.extract_features(pixels).mean((2, 3))[0].numpy())  # (1, D, H, W) -> (D,)
    return np.stack(rows)


def main():
    """Print the figures, one per part of the data set."""
    for part in ("test", "validation"):
        folder = need("images", "clothing", part)
        with tempfile.TemporaryDirectory() as indexes:
            built = es.build(
                folder, name="clothing", precision="fp32", views="centre", center=False, indexes=indexes
            )
            ours = leave_one_out(built, "label")
        paths = sorted(folder.rglob("*.jpg"))
        labels = np.array([path.parent.name for path in paths])
        vectors = plain_images(paths)
        nearest = plain_neighbours(vectors, vectors, 1, leave_one_out=True)[:, 0]
        plain = float(np.mean(labels[nearest] == labels))
        print(f"clothing_{part} value={ours:.4f} (1-NN accuracy over {len(paths)} photos; plain {plain:.4f})")


if __name__ == "__main__":
    main()
