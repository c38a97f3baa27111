"""Small audio models of the real architectures, made on the spot, with random weights."""

from pathlib import Path

import torch

MODELS = ("wav2vec2", "hubert", "wavlm", "whisper", "ast", "clap")
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CONVOLUTIONS = {
    "conv_dim": (16, 16, 16), "conv_stride": (5, 4, 4), "conv_kernel": (10, 8, 4),
    "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


def make(name: str, folder: Path) -> Path:
    """Save the model `name` and its feature extractor into a folder, and return it."""
    import transformers as hf

    torch.manual_seed(0)
    if name in ("wav2vec2", "hubert", "wavlm"):
        kind = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}[name]
        config = getattr(hf, f"{kind}Config")(**SHAPE, **CONVOLUTIONS)
        model = getattr(hf, f"{kind}Model")(config)
        extractor = hf.Wav2Vec2FeatureExtractor()
    elif name == "whisper":
        config = hf.WhisperConfig(
            vocab_size=100, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, decoder_start_token_id=1, begin_suppress_tokens=None,
        )  # fmt: skip
        model, extractor = hf.WhisperModel(config), hf.WhisperFeatureExtractor()
    elif name == "ast":
        model, extractor = hf.ASTModel(hf.ASTConfig(**SHAPE)), hf.ASTFeatureExtractor()
    else:
        model, extractor = _clap(folder)
    model.eval().save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def _clap(folder: Path):
    import transformers as hf

    from tests.small_models import _byte_bpe

    tokenizer = _byte_bpe(folder, trims=True)
    text = {**SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 66}
    audio = {
        "window_size": 8, "num_mel_bins": 64, "spec_size": 256, "patch_size": 4, "patch_stride": (4, 4),
        "num_classes": 2, "hidden_size": 64, "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2),
        "patch_embeds_hidden_size": 8, "enable_fusion": False, "num_hidden_layers": 4,
    }  # fmt: skip
    config = hf.ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    return hf.ClapModel(config), hf.ClapFeatureExtractor(truncation="rand_trunc")
