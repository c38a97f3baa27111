"""ViT-B/16 at 224 pixels on a GPU in bfloat16, random weights: 500-pixel JPEGs from disk, end to end.

`image_gpu` is ours over the plain loop (`Image.open`, processor, model, mean; 64 images a batch);
`image_gpu_end_to_end` is ours over the slower of reading alone and the model alone; `image_gpu_forward` is
the share of the rate of a large matrix product., and `image_gpu_plain`, `_channels_last`,
`_compiled` and `_graphs` are that of the plain model as it is, with weights and images in another order of
memory, compiled (`torch.compile`), and compiled and replayed as CUDA graphs: what each would gain.
"""

import numpy as np
from PIL import Image

from embedsearch.encoders import open_encoder
from embedsearch.records import Modality, Record, Unit
from tests.benchmarks.gpu import (
    BF16,
    DEVICE,
    DRY,
    ceiling,
    need_gpu,
    rates,
    recipe,
    save_vit_base,
    seconds,
    temporary,
)

COUNT, PICTURES, TOKENS = (32, 8, 197) if DRY else (4096, 512, 197)
BATCH = 8 if DRY else 256
OPERATIONS = 12 * (2 * 12 * 768 * 768 * TOKENS + 4 * TOKENS * TOKENS * 768) + 2 * 196 * 768 * 768


def save_pictures(folder):
    """Save JPEGs of 500 x 375 pixels with smooth random content."""
    draw = np.random.default_rng(0)
    for at in range(PICTURES):
        small = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{at}.jpg", quality=90)


def variants(model):
    """Yield a name, the model and a batch of images, for each way to run it that may be faster."""
    import torch

    images = torch.randn(BATCH, 3, 224, 224, device=DEVICE, dtype=BF16)
    yield "plain", model, images
    if not DRY:
        yield "compiled", torch.compile(model), images
        yield "graphs", torch.compile(model, mode="reduce-overhead"), images
    last = torch.channels_last
    yield "channels_last", model.to(memory_format=last), images.to(memory_format=last)


def once(model, images):
    """Run a model over a batch."""
    import torch

    with torch.inference_mode():
        return model(pixel_values=images).last_hidden_state.mean(1)  # (B, T, D) -> (B, D)


def main():
    """Print the figures."""
    device = need_gpu("image_gpu")
    import torch
    from transformers import AutoImageProcessor, AutoModel

    model_folder, pictures = temporary(save_vit_base), temporary(save_pictures)
    encoder = open_encoder(recipe(Unit.IMAGE, model_folder))
    paths = [pictures / f"{at % PICTURES}.jpg" for at in range(COUNT)]
    records = [Record(str(at), Modality.IMAGE, path) for at, path in enumerate(paths)]
    reading, forward, both = rates(encoder, records)

    processor = AutoImageProcessor.from_pretrained(model_folder, backend="pil")
    plain = AutoModel.from_pretrained(model_folder, dtype=BF16).to(DEVICE).eval()

    def loop():
        for start in range(0, PICTURES, 64):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + 64]]
            pixels = processor(images=images, return_tensors="pt")["pixel_values"].to(DEVICE, BF16)
            with torch.no_grad():
                plain(pixel_values=pixels).last_hidden_state.mean(1).float().cpu()  # (B, T, D) -> (B, D)

    peer = PICTURES / seconds(loop)
    top = ceiling()
    print(f"image_gpu ratio={both / peer:.2f} (ours {both:,.0f} images/s, peer {peer:,.0f}; {device})")
    slower = min(reading, forward)
    print(
        f"image_gpu_end_to_end value={both / slower:.3f} "
        f"(ours {both:,.0f} images/s, reading alone {reading:,.0f}, model alone {forward:,.0f})"
    )
    reached = forward * OPERATIONS
    shares = f"{reached / 1e12:.0f} of {top / 1e12:.0f} TFLOP/s, bf16"
    print(f"image_gpu_forward value={reached / top:.3f} ({shares})")
    for name, model, images in variants(plain):
        rate = BATCH / seconds(lambda model=model, images=images: once(model, images)) * OPERATIONS
        print(f"image_gpu_{name} value={rate / top:.3f} ({rate / 1e12:.0f} TFLOP/s; {device})")


if __name__ == "__main__":
    main()
