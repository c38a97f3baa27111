"""BERT-base at 128 tokens on a GPU in bfloat16, random weights: end to end, and against its parts.

`text_gpu` is ours over `SentenceTransformer.encode` in fp16 with its defaults; `text_gpu_end_to_end` is ours
over the slower of reading alone and the model alone; `text_gpu_forward` is the share of the rate of a large
matrix product. `text_gpu_process` is as `text_gpu_end_to_end`, but another process tokenises ahead: what that
would gain.
"""

import multiprocessing
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from embedsearch.encoders import open_encoder
from embedsearch.records import Modality, Record, Unit
from tests.benchmarks.gpu import (
    DEVICE,
    DRY,
    FP16,
    ceiling,
    need_gpu,
    random_texts,
    rates,
    recipe,
    save_bert_base,
    seconds,
    temporary,
)

TOKENS, COUNT, SOME = 128, 256 if DRY else 65536, 64 if DRY else 8192
STEP = 32 if DRY else 2048  # texts that are tokenised together
# 2 operations per weight of the layers and token, and the attention's two products
OPERATIONS = 12 * (2 * 12 * 768 * 768 * TOKENS + 4 * TOKENS * TOKENS * 768)


_encoder = None  # of the process that tokenises


def load(folder):
    """Load the tokenizer of a model, with the model, which stays unused."""
    global _encoder  # noqa: PLW0603
    _encoder = open_encoder(replace(recipe(Unit.TEXT, folder), device="cpu", precision="fp32"))


def tokenise(texts):
    """Return texts as the model takes them."""
    return _encoder.prepare(texts)


def tokenised_ahead(encoder, texts, reader):
    """Run the model over texts that another process tokenises, two parts ahead."""
    coming = deque()
    for start in range(0, len(texts), STEP):
        coming.append(reader.submit(tokenise, texts[start : start + STEP]))
        if len(coming) > 2:
            list(encoder.run(coming.popleft().result()))
    for last in coming:
        list(encoder.run(last.result()))


def main():
    """Print the figures."""
    device = need_gpu("text_gpu")
    from sentence_transformers import SentenceTransformer

    folder = temporary(save_bert_base)
    encoder = open_encoder(recipe(Unit.TEXT, folder))
    texts = random_texts(COUNT, TOKENS)
    records = [Record(str(at), Modality.TEXT, text) for at, text in enumerate(texts)]
    reading, model, both = rates(encoder, records)
    peer_model = SentenceTransformer(str(folder), device=DEVICE, model_kwargs={"dtype": FP16})
    some = texts[:SOME]
    peer = len(some) / seconds(lambda: peer_model.encode(some, show_progress_bar=False))
    top = ceiling()
    print(f"text_gpu ratio={both / peer:.2f} (ours {both:,.0f} texts/s, peer {peer:,.0f}; {device})")
    slower = min(reading, model)
    print(
        f"text_gpu_end_to_end value={both / slower:.3f} "
        f"(ours {both:,.0f} texts/s, reading alone {reading:,.0f}, model alone {model:,.0f})"
    )
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), load, (folder,)) as reader:
        elsewhere = len(texts) / seconds(lambda: tokenised_ahead(encoder, texts, reader))
    print(f"text_gpu_process value={elsewhere / slower:.3f} ({elsewhere:,.0f} texts/s; {device})")
    reached = model * OPERATIONS
    print(
        f"text_gpu_forward value={reached / top:.3f} ({reached / 1e12:.0f} of {top / 1e12:.0f} TFLOP/s, bf16)"
    )


if __name__ == "__main__":
    main()
