"""What the GPU benchmarks share: models in their real sizes with random weights, and the timings.

With --dry-run each script goes its whole way on the CPU with a tiny model; its figures mean nothing.
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from embedsearch.indexing.plan import Plan
from embedsearch.indexing.runners.local import LocalRunner
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe

DRY = "--dry-run" in sys.argv[1:]
DEVICE, BF16, FP16 = ("cpu", torch.float32, torch.float32) if DRY else ("cuda", torch.bfloat16, torch.float16)
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


def need_gpu(key):
    """Return the GPU's name, or end with the line that says that the figure was skipped."""
    if DRY:
        return "dry run on the CPU, tiny model"
    if not torch.cuda.is_available():
        print(f"{key} skipped: this machine has no CUDA device")
        sys.exit(0)
    return torch.cuda.get_device_name()


def save_bert_base(folder):
    """Save BERT-base (12 layers, 768-d) with random weights and a WordPiece vocabulary of 30,522."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    BertModel(BertConfig(**(SMALL if DRY else {}))).save_pretrained(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = special + [f"{number:x}" for number in range(30522 - len(special))]
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512,
        unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    ).save_pretrained(folder)  # fmt: skip


def save_vit_base(folder):
    """Save ViT-B/16 at 224 pixels with random weights."""
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    torch.manual_seed(0)
    ViTModel(ViTConfig(**(SMALL if DRY else {}))).save_pretrained(folder)
    ViTImageProcessorPil().save_pretrained(folder)


def random_texts(count, tokens):
    """Return `count` different texts of `tokens` tokens, [CLS] and [SEP] included."""
    draw = random.Random(0)
    return [" ".join(f"{draw.randrange(30000):x}" for _ in range(tokens - 2)) for _ in range(count)]


def seconds(work, repeats=3):
    """Return the median of `repeats` runs of `work` after one that is not counted."""
    wait = torch.cuda.synchronize if DEVICE == "cuda" else (lambda: None)
    times = []
    for _ in range(repeats + 1):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def ceiling(dtype=BF16, side=256 if DRY else 8192):
    """Return the rate of a large matrix product on random data, in operations a second."""
    a, b = (torch.randn(side, side, device=DEVICE, dtype=dtype) for _ in range(2))
    return 2 * side**3 / (seconds(lambda: [a @ b for _ in range(20)]) / 20)


def temporary(save):
    """Return a folder that holds what `save` writes; it lives as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="embedsearch-bench-"))
    save(folder)
    return folder


def rates(encoder, records):
    """Return items a second of reading alone, the model alone, and both together, as a build runs them."""
    contents = [record.content for record in records]
    step = 2048
    prepared = [encoder.prepare(contents[start : start + step]) for start in range(0, len(contents), step)]
    reading = seconds(
        lambda: [encoder.prepare(contents[start : start + step]) for start in range(0, len(contents), step)]
    )
    model = seconds(lambda: [list(encoder.run(part)) for part in prepared])
    runner = LocalRunner(lambda _: encoder, lambda _: None, lambda _: None)

    def run():
        planned = Recipe("rates", SourceRecipe("list", "records"), EncoderRecipe(encoder.spec.unit))
        plan = Plan(planned, records, None)
        for _ in runner.map(plan.batches(plan.walk()), planned.encoder):
            pass

    both = seconds(run)
    return tuple(len(records) / spent for spent in (reading, model, both))


def recipe(unit, folder):
    """Return the recipe of a model in a folder on the GPU in bfloat16."""
    precision = "fp32" if DRY else "bf16"
    return EncoderRecipe(unit, model=str(folder), device=DEVICE, precision=precision, pooling="mean")
