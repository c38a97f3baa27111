"""The command map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import echo_facts, echo_json, example, indexes_option, json_option, option

if TYPE_CHECKING:
    from embedsearch.maps import Map
    from embedsearch.store.facts import GroupFacts
    from embedsearch.store.manifest import Manifest


@click.command(
    "map",
    short_help="Make a map of an index in two dimensions.",
    **example("embedsearch map faq --save faq.csv"),
)
@click.argument("name")
@option(
    "--method",
    type=click.Choice(["pca", "umap"]),
    help="umap keeps far more neighbours together; pca is quick.  [default: umap where the extra umap is "
    "installed, else pca]",
)
@option(
    "--clusters",
    type=click.IntRange(1, 50),
    help="Number of groups.  [default: the square root of half the number of items, at most 8]",
)
@option(
    "--names",
    metavar="FIELD",
    default="",
    help="Field that the names of the groups come from.  [default: texts or captions]",
)
@option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write id, x, y, cluster and the share of neighbours kept to this CSV file.",
)
@indexes_option
@json_option
def map_command(
    name: str,
    method: str | None,
    clusters: int | None,
    names: str,
    save: Path | None,
    indexes: Path | None,
    json: bool,
) -> None:
    """Make a map of the index NAME. The page shows it, and rebuilds keep it up to date.

    A map can't keep all distances. The command prints how many of each item's 10 nearest neighbours are also
    among its 10 nearest on the map. After a rebuild, items stay near their old places.
    """
    from embedsearch.artifacts.map import load_map, map_index
    from embedsearch.cli.progress import reporter
    from embedsearch.maps.export import save_csv
    from embedsearch.maps.inputs import Method, Settings
    from embedsearch.maps.layouts import default_method
    from embedsearch.store.folders import indexes_folder

    if save is not None and not save.resolve().parent.is_dir():
        raise click.BadParameter(f"there is no folder {save.resolve().parent}", param_hint="--save")
    settings = Settings(Method(method) if method else default_method(), clusters or 0, names)
    with reporter(name) as bar:
        build = map_index(indexes_folder(indexes), name, settings, bar)
    made = load_map(build)
    assert made is not None  # it was just published
    if save is not None:
        save_csv(made, build.items["id"], save)
    coordinates = build.folder / "map.npy"
    if json:
        from embedsearch.serve.schemas import MapOutput

        echo_json(MapOutput.of(build.manifest, str(coordinates), made.facts))
    else:
        _print(build.manifest, made, coordinates)


def _print(manifest: Manifest, made: Map, coordinates: Path) -> None:
    from embedsearch.modalities import UNITS

    facts, count = made.facts, manifest.count
    of = "all" if facts.measured == count else f"a sample of {facts.measured:,}"
    by = manifest.index.recall
    found = f"; the index finds {by:.1%} of them" if by < 1 else ""
    rows = [
        ("map", f"{manifest.name}: {count:,} {UNITS[manifest.unit].plural} by {facts.method.upper()}"),
        (
            "kept",
            f"{facts.preserved:.1%} of each item's {facts.neighbours} nearest neighbours are also among its "
            f"{facts.neighbours} nearest on the map (measured on {of}{found})",
        ),
    ]
    if facts.explained:
        first, second = facts.explained
        rows.insert(
            1, ("variance", f"{first + second:.1%} is kept: {first:.1%} along x, {second:.1%} along y")
        )
    elif facts.laid_out < count:
        placed = count - facts.laid_out
        rows.insert(1, ("laid out", f"{facts.laid_out:,} items; {placed:,} placed between their neighbours"))
    if facts.moved:
        rows.append(
            (
                "moved",
                f"earlier items moved by {facts.moved.median:.1%} of the map's radius (median)",
            )
        )
    rows += [("" if at else "groups", f"{each.size:>9,}  {each.name}") for at, each in _by_size(made)]
    rows.append(("coordinates", str(coordinates)))
    echo_facts(rows)


def _by_size(made: Map) -> enumerate[GroupFacts]:
    return enumerate(sorted(made.facts.clusters, key=lambda each: -each.size))
