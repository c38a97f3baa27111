"""ViT-B/16 at 224 pixels on a GPU in bfloat16, random weights: 500-pixel JPEGs from disk, end to end.

`image_gpu` is ours over the plain loop (`Image.open`, processor, model, mean; 64 images a batch);
`image_gpu_end_to_end` is ours over the slower of reading alone and the model alone; `image_gpu_forward` is
the share of the rate of a large matrix product.
"""

import numpy as np
from PIL import Image

from embedsearch.encoders import open_encoder
from embedsearch.records import Modality, Record, Unit
from tests.benchmarks.gpu import ceiling, need_gpu, rates, recipe, save_vit_base, seconds, temporary

COUNT, TOKENS = 4096, 197
OPERATIONS = 12 * (2 * 12 * 768 * 768 * TOKENS + 4 * TOKENS * TOKENS * 768) + 2 * 196 * 768 * 768


def save_pictures(folder):
    """Save JPEGs of 500 x 375 pixels with smooth random content."""
    draw = np.random.default_rng(0)
    for at in range(512):
        small = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{at}.jpg", quality=90)


def main():
    """Print the figures."""
    device = need_gpu("image_gpu")
    import torch
    from transformers import AutoImageProcessor, AutoModel

    model_folder, pictures = temporary(save_vit_base), temporary(save_pictures)
    encoder = open_encoder(recipe(Unit.IMAGE, model_folder))
    paths = [pictures / f"{at % 512}.jpg" for at in range(COUNT)]
    records = [Record(str(at), Modality.IMAGE, path) for at, path in enumerate(paths)]
    reading, forward, both = rates(encoder, records)

    processor = AutoImageProcessor.from_pretrained(model_folder, backend="pil")
    plain = AutoModel.from_pretrained(model_folder, dtype=torch.bfloat16).to("cuda").eval()

    def loop():
        for start in range(0, 512, 64):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + 64]]
            pixels = processor(images=images, return_tensors="pt")["pixel_values"].to("cuda", torch.bfloat16)
            with torch.no_grad():
                plain(pixel_values=pixels).last_hidden_state.mean(1).float().cpu()  # (B, T, D) -> (B, D)

    peer = 512 / seconds(loop)
    top = ceiling()
    print(f"image_gpu ratio={both / peer:.2f} (ours {both:,.0f} pictures/s, peer {peer:,.0f}; {device})")
    slower = min(reading, forward)
    print(
        f"image_gpu_end_to_end value={both / slower:.3f} "
        f"(ours {both:,.0f} pictures/s, reading alone {reading:,.0f}, model alone {forward:,.0f})"
    )
    reached = forward * OPERATIONS
    shares = f"{reached / 1e12:.0f} of {top / 1e12:.0f} TFLOP/s, bf16"
    print(f"image_gpu_forward value={reached / top:.3f} ({shares})")


if __name__ == "__main__":
    main()
