"""Small models of the real architectures, made on the spot: a few kilobytes each, weights random.

Every model has a fixed seed. Texts get a tokenizer trained on `SENTENCES`; images are 32 pixels wide.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SENTENCES = [
    "The bank raised its interest rate, and we sat on the grassy bank of the river.",
    "A cat sleeps.",
    "Naïve café owners in Zürich don't over-caffeinate their unbelievably long-winded customers.",
    "split a path into directory and file name",
    "Numbers such as 3.5 and 1024 count, too!",
    "x",
]
HIDDEN, LAYERS, HEADS = 32, 2, 2


def _bert_shape(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 64,
    }


def _wordpiece(folder: Path, **names: str) -> Any:
    """Save and return a lower-casing WordPiece tokenizer of BERT's shape, 120 pieces."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_max_length=128, **names,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def _byte_bpe(folder: Path, *, trims: bool) -> Any:
    """Save and return a byte-level BPE tokenizer of RoBERTa's shape, 300 pieces.

    RoBERTa's offsets leave the space before a word out (`trims`), ModernBERT's count it in.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    tokenizer.post_processor = (
        processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
        if trims
        else processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>", mask_token="<mask>",
        bos_token="<s>", eos_token="</s>", model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def bert(folder: Path) -> None:
    """BERT: learned positions, token types."""
    from transformers import BertConfig, BertModel

    size = len(_wordpiece(folder))
    BertModel(BertConfig(**_bert_shape(size), max_position_embeddings=128)).save_pretrained(folder)


def roberta(folder: Path) -> None:
    """RoBERTa: positions count from the padding index."""
    from transformers import RobertaConfig, RobertaModel

    size = len(_byte_bpe(folder, trims=True))
    config = RobertaConfig(**_bert_shape(size), max_position_embeddings=130, type_vocab_size=1)
    RobertaModel(config).save_pretrained(folder)


def distilbert(folder: Path) -> None:
    """DistilBERT: no token types."""
    from transformers import DistilBertConfig, DistilBertModel

    size = len(_wordpiece(folder, model_input_names=["input_ids", "attention_mask"]))
    config = DistilBertConfig(
        vocab_size=size,
        dim=HIDDEN,
        n_layers=LAYERS,
        n_heads=HEADS,
        hidden_dim=64,
        max_position_embeddings=128,
    )
    DistilBertModel(config).save_pretrained(folder)


def mpnet(folder: Path) -> None:
    """MPNet: relative attention bias."""
    from transformers import MPNetConfig, MPNetModel

    size = len(_wordpiece(folder, model_input_names=["input_ids", "attention_mask"]))
    MPNetModel(MPNetConfig(**_bert_shape(size), max_position_embeddings=130)).save_pretrained(folder)


def modernbert(folder: Path) -> None:
    """ModernBERT: rotary positions, a local window of 16 in the second layer, a final norm."""
    from transformers import ModernBertConfig, ModernBertModel

    size = len(_byte_bpe(folder, trims=False))
    config = ModernBertConfig(
        **_bert_shape(size), max_position_embeddings=128, global_attn_every_n_layers=2, local_attention=16,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    ModernBertModel(config).save_pretrained(folder)


def _vision_shape(patch: int = 8) -> dict[str, Any]:
    shape = {"image_size": 32, "patch_size": patch, "intermediate_size": 64}
    return {**shape, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}


def _square(folder: Path, kind: str, **options: Any) -> None:
    """Save the image processor of class `kind`: 32 pixels square."""
    import transformers

    size = {"height": 32, "width": 32}
    getattr(transformers, kind)(size=size, **options).save_pretrained(folder)


def vit(folder: Path) -> None:
    """ViT: one CLS token, 16 patches."""
    from transformers import ViTConfig, ViTModel

    _square(folder, "ViTImageProcessor")
    ViTModel(ViTConfig(**_vision_shape())).save_pretrained(folder)


def deit(folder: Path) -> None:
    """DeiT: a CLS and a distillation token."""
    from transformers import DeiTConfig, DeiTModel

    _square(folder, "DeiTImageProcessor", do_center_crop=False)
    DeiTModel(DeiTConfig(**_vision_shape())).save_pretrained(folder)


def beit(folder: Path) -> None:
    """BEiT: CLS, relative positions."""
    from transformers import BeitConfig, BeitModel

    _square(folder, "BeitImageProcessor", do_center_crop=False)
    BeitModel(BeitConfig(**_vision_shape())).save_pretrained(folder)


def _shortest_edge(folder: Path, kind: str) -> None:
    """Save the image processor of class `kind`: shorter side 32, then the middle 32 x 32."""
    import transformers

    getattr(transformers, kind)(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)


def dinov2(folder: Path) -> None:
    """DINOv2: a final norm, the shorter side resized and the middle cropped."""
    from transformers import Dinov2Config, Dinov2Model

    _shortest_edge(folder, "BitImageProcessor")
    shape = _vision_shape()
    del shape["intermediate_size"]
    Dinov2Model(Dinov2Config(**shape, mlp_ratio=2)).save_pretrained(folder)


def dinov2_registers(folder: Path) -> None:
    """DINOv2 with registers: CLS and three registers before 16 patches."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    _shortest_edge(folder, "BitImageProcessor")
    shape = _vision_shape()
    del shape["intermediate_size"]
    config = Dinov2WithRegistersConfig(**shape, mlp_ratio=2, num_register_tokens=3)
    Dinov2WithRegistersModel(config).save_pretrained(folder)


def resnet(folder: Path) -> None:
    """ResNet: a map (B, 24, 2, 2), batch norm."""
    from transformers import ResNetConfig, ResNetModel

    _square(folder, "ViTImageProcessor")
    config = ResNetConfig(embedding_size=8, hidden_sizes=[16, 24], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)


def convnext(folder: Path) -> None:
    """ConvNeXt: a map."""
    from transformers import ConvNextConfig, ConvNextModel

    _square(folder, "ViTImageProcessor")
    ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])).save_pretrained(folder)


def swin(folder: Path) -> None:
    """Swin: windows, merged patches, no CLS."""
    from transformers import SwinConfig, SwinModel

    _square(folder, "ViTImageProcessor")
    config = SwinConfig(
        image_size=32, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    SwinModel(config).save_pretrained(folder)


def clip(folder: Path) -> None:
    """CLIP, both towers: 24 tokens of text, the vector at its end; one space of 16 numbers."""
    from transformers import CLIPConfig, CLIPModel

    _shortest_edge(folder, "CLIPImageProcessor")
    tokenizer = _wordpiece(folder, model_input_names=["input_ids", "attention_mask"])
    text = {**_bert_shape(len(tokenizer)), "eos_token_id": 3, "max_position_embeddings": 24}
    config = CLIPConfig(text_config=text, vision_config=_vision_shape(), projection_dim=16)
    CLIPModel(config).save_pretrained(folder)


def siglip(folder: Path) -> None:
    """SigLIP, both towers: no CLS; texts are padded to 24 tokens, and the padding is read."""
    from transformers import SiglipConfig, SiglipModel

    _square(folder, "SiglipImageProcessor")
    tokenizer = _wordpiece(folder, model_input_names=["input_ids"])
    text = {**_bert_shape(len(tokenizer)), "max_position_embeddings": 24}
    SiglipModel(SiglipConfig(text_config=text, vision_config=_vision_shape())).save_pretrained(folder)


def siglip2(folder: Path) -> None:
    """SigLIP 2 of a fixed size: SigLIP's towers, and a byte-level tokenizer that pads on the left."""
    from transformers import SiglipConfig, SiglipModel

    _square(folder, "SiglipImageProcessor")
    tokenizer = _byte_bpe(folder, trims=False)
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(folder)
    text = {**_bert_shape(len(tokenizer)), "max_position_embeddings": 24}
    SiglipModel(SiglipConfig(text_config=text, vision_config=_vision_shape())).save_pretrained(folder)


def siglip2_naflex(folder: Path) -> None:
    """SigLIP 2 for images of any shape: at most 16 patches of 8 pixels, padded and masked."""
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    tokenizer = _wordpiece(folder, model_input_names=["input_ids"])
    text = {**_bert_shape(len(tokenizer)), "max_position_embeddings": 24}
    vision = {**_vision_shape(), "num_patches": 16}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)


TEXT_MODELS: dict[str, Callable[[Path], None]] = {
    "bert": bert, "roberta": roberta, "distilbert": distilbert, "mpnet": mpnet, "modernbert": modernbert,
}  # fmt: skip
IMAGE_MODELS: dict[str, Callable[[Path], None]] = {
    "vit": vit, "deit": deit, "beit": beit, "dinov2": dinov2, "dinov2-registers": dinov2_registers,
    "resnet": resnet, "convnext": convnext, "swin": swin, "clip": clip, "siglip": siglip,
}  # fmt: skip


TWO_TOWERS: dict[str, Callable[[Path], None]] = {
    "clip": clip, "siglip": siglip, "siglip2": siglip2, "siglip2-naflex": siglip2_naflex,
}  # fmt: skip


def make(name: str, folder: Path) -> Path:
    """Save the small model `name` into `folder`, and return the folder."""
    import torch

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        {**TEXT_MODELS, **IMAGE_MODELS, **TWO_TOWERS}[name](folder)
    return folder
