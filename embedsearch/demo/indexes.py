"""The demo: three indexes of what every machine has, through the same code as anybody's own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from embedsearch.api import align
from embedsearch.errors import IndexNotFoundError, RecipeError, SourceError
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources.guess import guess
from embedsearch.store.build import open_build

INSTALLED = "the documentation of the installed Python"
TEXTS, WORDS, PICTURES = "python-docs", "python-words", "pictures"
# Where the Tux Paint stamps lie: Debian and Fedora, Homebrew and local builds, the macOS application.
STAMPS = (
    Path("/usr/share/tuxpaint/stamps"),
    Path("/usr/local/share/tuxpaint/stamps"),
    Path("/opt/homebrew/share/tuxpaint/stamps"),
    Path("/Applications/TuxPaint.app/Contents/Resources/stamps"),
)


def demo_recipes(images: Path | None, device: str) -> list[Recipe]:
    """Return the recipes of the demo indexes that this machine can build.

    Args:
        images: a folder of pictures; None for the Tux Paint stamps, where they are installed.
        device: where to compute.

    Raises:
        SourceNotFoundError, SourceError: `images` does not exist or holds no pictures.
    """
    recipes = [
        Recipe(TEXTS, SourceRecipe("python-docs", INSTALLED), EncoderRecipe(Unit.TEXT, device=device)),
        Recipe(WORDS, SourceRecipe("python-sentences", INSTALLED), EncoderRecipe(Unit.WORD, device=device)),
    ]
    folder = images or next((path for path in STAMPS if path.is_dir()), None)
    if folder is not None:
        _, location = guess(str(folder))
        recipes.append(
            Recipe(PICTURES, SourceRecipe("images", location), EncoderRecipe(Unit.IMAGE, device=device))
        )
    return recipes


def make(recipe: Recipe, indexes: Path, *, again: bool, progress: Progress) -> Index:
    """Return the demo index of `recipe`, built unless it is there already; pictures aligned with captions.

    Args:
        recipe: one of `demo_recipes`.
        indexes: the folder of indexes.
        again: build it even so.
        progress: who is told how it goes on.
    """
    if not again:
        try:
            return Index(open_build(indexes, recipe.name))
        except IndexNotFoundError:
            pass
    searcher = Index(build_index(recipe, indexes, replace=True, progress=progress))
    if recipe.name == PICTURES:
        # where there are too few captions, or they help nothing, texts find pictures by class names alone
        with suppress(RecipeError, SourceError):
            return align(PICTURES, indexes=indexes, progress=progress)
    return searcher
