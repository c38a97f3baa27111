"""The demo: indexes of what most machines have, built by the same code as any other index."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from embedsearch.api import align
from embedsearch.demo.emoji import has_emoji
from embedsearch.errors import IndexNotFoundError, MissingExtraError, RecipeError, SourceError
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.maps.inputs import Method
from embedsearch.maps.layouts import default_method
from embedsearch.modalities import SPLITTER, WINDOWS
from embedsearch.progress import Progress
from embedsearch.recipe import PREPARATION, EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources.guess import guess
from embedsearch.splitters.sound import check_installed
from embedsearch.store.build import open_build

INSTALLED = "the documentation of the installed Python"
TEXTS, WORDS, IMAGES, SOUNDS = "python-docs", "python-words", "images", "sounds"
NAMES = (IMAGES, SOUNDS, TEXTS, WORDS)
EMOJI = "the emoji of OpenMoji"
# Where the Tux Paint stamps are: Debian and Fedora, Homebrew and local builds, the macOS application.
STAMPS = (
    Path("/usr/share/tuxpaint/stamps"),
    Path("/usr/local/share/tuxpaint/stamps"),
    Path("/opt/homebrew/share/tuxpaint/stamps"),
    Path("/Applications/TuxPaint.app/Contents/Resources/stamps"),
)

# Where sounds are: Debian's sonic-pi-samples and sound-theme-freedesktop.
SAMPLES = (Path("/usr/share/sonic-pi/samples"), Path("/usr/share/sounds/freedesktop/stereo"))


def demo_recipes(images: Path | None, device: str, sounds: Path | None = None) -> list[Recipe]:
    """Return the recipes of the demo indexes that this machine can build, first the images.

    Args:
        images: a folder of images; None for the Tux Paint stamps where they are installed, else emoji.
        device: the device that computes the embeddings.
        sounds: a folder of sounds; None for a Debian package of some, where one is installed.

    Raises:
        SourceNotFoundError, SourceError: a folder does not exist or holds something else.
        MissingExtraError: the folder of sounds is asked for, and the extra `sounds` is not installed.
    """
    recipes = []
    folder = _sounds(sounds)  # that it can't be read is said before anything is built
    if (source := _image_source(images)) is not None:
        encoder = EncoderRecipe(Unit.IMAGE, device=device, preparation=PREPARATION)
        recipes.append(Recipe(IMAGES, source, encoder, IndexOptions(center=True)))
    recipes += [
        Recipe(TEXTS, SourceRecipe("python-docs", INSTALLED), EncoderRecipe(Unit.TEXT, device=device)),
        Recipe(
            WORDS,
            SourceRecipe("python-sentences", INSTALLED),
            EncoderRecipe(Unit.WORD, device=device, splitter=SPLITTER),
        ),
    ]
    if folder is not None:
        encoder = EncoderRecipe(Unit.SOUND, device=device, splitter=WINDOWS)
        recipes.append(Recipe(SOUNDS, SourceRecipe("sounds", guess(str(folder))[1]), encoder))
    return recipes


def _image_source(images: Path | None) -> SourceRecipe | None:
    folder = images or next((path for path in STAMPS if path.is_dir()), None)
    if folder is not None:
        return SourceRecipe("images", guess(str(folder))[1])
    return SourceRecipe("emoji", EMOJI) if has_emoji() else None


def _sounds(asked: Path | None) -> Path | None:
    """Return the folder of sounds; None where the machine has none, or can't read them."""
    if asked is not None:
        check_installed()
        return asked
    with suppress(MissingExtraError):
        check_installed()
        return next((path for path in SAMPLES if path.is_dir()), None)
    return None


def add_map(index: Index, progress: Progress) -> Index:
    """Return an index with a map by UMAP; as it is where it has a map, or the extra `umap` is not installed.

    Args:
        index: a demo index.
        progress: receives the progress of the map.
    """
    if index.layout is not None or default_method() is not Method.UMAP:
        return index
    return index.map(progress=progress)


def make(recipe: Recipe, indexes: Path, *, again: bool, progress: Progress) -> Index:
    """Return the demo index of `recipe`, and build it if it does not exist; images are aligned with captions.

    Args:
        recipe: one of `demo_recipes`.
        indexes: the folder of indexes.
        again: build it even if it exists.
        progress: receives the progress of the build.
    """
    if not again:
        try:
            return Index(open_build(indexes, recipe.name))
        except IndexNotFoundError:
            pass
    searcher = Index(build_index(recipe, indexes, replace=True, allow_removal=True, progress=progress))
    if recipe.name == IMAGES:
        # with too few captions, or captions that don't help, texts find images by class names alone
        with suppress(RecipeError, SourceError):
            return align(IMAGES, indexes=indexes, progress=progress)
    return searcher
