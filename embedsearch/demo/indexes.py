"""The demo: three indexes of what most machines have, built by the same code as any other index."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from embedsearch.api import align
from embedsearch.errors import IndexNotFoundError, RecipeError, SourceError
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.progress import Progress
from embedsearch.recipe import PREPARATION, SPLITTER, EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources.guess import guess
from embedsearch.store.build import open_build

INSTALLED = "the documentation of the installed Python"
TEXTS, WORDS, PICTURES = "python-docs", "python-words", "pictures"
# Where the Tux Paint stamps are: Debian and Fedora, Homebrew and local builds, the macOS application.
STAMPS = (
    Path("/usr/share/tuxpaint/stamps"),
    Path("/usr/local/share/tuxpaint/stamps"),
    Path("/opt/homebrew/share/tuxpaint/stamps"),
    Path("/Applications/TuxPaint.app/Contents/Resources/stamps"),
)


def demo_recipes(images: Path | None, device: str) -> list[Recipe]:
    """Return the recipes of the demo indexes that this machine can build.

    Args:
        images: a folder of images; None for the Tux Paint stamps, if they are installed.
        device: the device that computes the embeddings.

    Raises:
        SourceNotFoundError, SourceError: `images` does not exist or holds no images.
    """
    recipes = [
        Recipe(TEXTS, SourceRecipe("python-docs", INSTALLED), EncoderRecipe(Unit.TEXT, device=device)),
        Recipe(
            WORDS,
            SourceRecipe("python-sentences", INSTALLED),
            EncoderRecipe(Unit.WORD, device=device, splitter=SPLITTER),
        ),
    ]
    folder = images or next((path for path in STAMPS if path.is_dir()), None)
    if folder is not None:
        _, location = guess(str(folder))
        recipes.append(
            Recipe(
                PICTURES,
                SourceRecipe("images", location),
                EncoderRecipe(Unit.IMAGE, device=device, preparation=PREPARATION),
            )
        )
    return recipes


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
    if recipe.name == PICTURES:
        # with too few captions, or captions that don't help, texts find images by class names alone
        with suppress(RecipeError, SourceError):
            return align(PICTURES, indexes=indexes, progress=progress)
    return searcher
