"""BERT-base at 128 tokens on a GPU in bfloat16, random weights: end to end, and against its parts.

`text_gpu` is ours over `SentenceTransformer.encode` in fp16 with its defaults; `text_gpu_end_to_end` is ours
over the slower of reading alone and the model alone; `text_gpu_forward` is the share of the rate of a large
matrix product.
"""

from embedsearch.encoders import open_encoder
from embedsearch.records import Modality, Record, Unit
from tests.benchmarks.gpu import (
    ceiling,
    need_gpu,
    random_texts,
    rates,
    recipe,
    save_bert_base,
    seconds,
    temporary,
)

TOKENS, COUNT = 128, 65536
# 2 operations per weight of the layers and token, and the attention's two products
OPERATIONS = 12 * (2 * 12 * 768 * 768 * TOKENS + 4 * TOKENS * TOKENS * 768)


def main():
    """Print the figures."""
    device = need_gpu("text_gpu")
    import torch
    from sentence_transformers import SentenceTransformer

    folder = temporary(save_bert_base)
    encoder = open_encoder(recipe(Unit.TEXT, folder))
    texts = random_texts(COUNT, TOKENS)
    records = [Record(str(at), Modality.TEXT, text) for at, text in enumerate(texts)]
    reading, model, both = rates(encoder, records)
    peer_model = SentenceTransformer(str(folder), device="cuda", model_kwargs={"dtype": torch.float16})
    some = texts[:8192]
    peer = len(some) / seconds(lambda: peer_model.encode(some, show_progress_bar=False))
    top = ceiling()
    print(f"text_gpu ratio={both / peer:.2f} (ours {both:,.0f} texts/s, peer {peer:,.0f}; {device})")
    slower = min(reading, model)
    print(
        f"text_gpu_end_to_end value={both / slower:.3f} "
        f"(ours {both:,.0f} texts/s, reading alone {reading:,.0f}, model alone {model:,.0f})"
    )
    reached = model * OPERATIONS
    print(
        f"text_gpu_forward value={reached / top:.3f} ({reached / 1e12:.0f} of {top / 1e12:.0f} TFLOP/s, bf16)"
    )


if __name__ == "__main__":
    main()
