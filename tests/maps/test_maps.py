"""Maps as part of builds: made when asked, carried over, old items near where they were."""

import numpy as np
import pytest

from embedsearch import maps
from embedsearch.artifacts.map import inputs_of, load_map
from embedsearch.errors import QueryError
from embedsearch.maps import clusters, inputs, make_map
from embedsearch.maps.alignment import procrustes
from embedsearch.maps.inputs import Settings, keys_of, sample
from embedsearch.maps.layouts import pca
from embedsearch.progress import Silent
from embedsearch.records import Unit
from embedsearch.store.build import open_build
from embedsearch.store.facts import MovedFacts
from tests import fakes
from tests.maps.conftest import random_texts


def where(build):
    """The coordinates of each item by its id."""
    made = load_map(build)
    ids = build.items["id"].to_pylist()
    return {name: (x, y) for name, x, y in zip(ids, made.points["x"], made.points["y"], strict=True)}


def test_a_map_tells_what_it_costs(make_build, map_of):
    """Shares of variance, the mean share of neighbours kept, and groups that hold every item once."""
    make_build(random_texts(range(120)))
    made, build = map_of()
    facts = made.facts
    assert (facts.method, facts.measured, facts.laid_out) == ("pca", 120, 120)
    assert facts.preserved == pytest.approx(made.points["kept"].mean(), abs=1e-4)
    assert 0.1 < facts.preserved < 0.9
    assert 0 < facts.explained[1] <= facts.explained[0] < 1
    assert sum(each.size for each in facts.clusters) == 120
    assert np.bincount(made.points["cluster"]).tolist() == [each.size for each in facts.clusters]
    assert len(facts.clusters) == 8  # round(sqrt(120 / 2))
    assert "map.npy" in build.manifest.files


def test_an_index_without_a_map_gets_none(make_build):
    """A build and a rebuild make no map unasked."""
    make_build(random_texts(range(20)))
    assert load_map(make_build(random_texts(range(25)))) is None


def test_old_items_stay_near_where_they_were(make_build, map_of):
    """With 60 of 300 items new and 30 gone, the others move by less than a tenth of the radius (median).

    Groups keep their numbers, and the new map is as good as one made from nothing.
    """
    make_build(random_texts(range(300)))
    before, build = map_of()
    old, labels = (
        where(build),
        dict(zip(build.items["id"].to_pylist(), before.points["cluster"], strict=True)),
    )
    after = make_build(random_texts(range(30, 360)))
    made, new = load_map(after), where(after)
    kept = sorted(set(old) & set(new))
    assert made.facts.moved.kept == len(kept) == 270
    far = [np.hypot(*np.subtract(new[name], old[name])) for name in kept]
    radius = np.sqrt(np.var([old[name] for name in kept], axis=0).sum())
    assert made.facts.moved.median == pytest.approx(np.median(far) / radius, abs=1e-3)
    assert np.median(far) / radius < 0.1
    ids = after.items["id"].to_pylist()
    same = [
        labels[name] == group
        for name, group in zip(ids, made.points["cluster"], strict=True)
        if name in labels
    ]
    assert np.mean(same) > 0.8
    fresh = make_map(inputs_of(after), Settings(), None, Silent())
    assert made.facts.preserved == pytest.approx(fresh.facts.preserved, abs=0.02)
    np.testing.assert_allclose(  # turned, mirrored and shifted alone: distances are those of the plain PCA
        np.linalg.norm(np.diff(maps.xy_of(made.points), axis=0), axis=1),
        np.linalg.norm(np.diff(maps.xy_of(fresh.points), axis=0), axis=1),
        rtol=1e-3,
        atol=1e-4,
    )


def test_a_mirrored_map_is_turned_back(make_build, map_of, monkeypatch):
    """Where the axes come out the other way round, the rebuilt map is laid over the old one all the same."""
    make_build(random_texts(range(100)))
    _, build = map_of()
    old = where(build)
    plain = pca.project
    monkeypatch.setattr(pca, "project", lambda *arguments: plain(*arguments)[:, ::-1] * [1, -1] + 3)
    new = where(make_build(random_texts(range(101))))
    far = [np.hypot(*np.subtract(new[name], old[name])) for name in old]
    assert max(far) < 0.2


def test_another_model_keeps_the_map_and_its_direction(make_build, map_of):
    """With other vectors for all items the map is made again, and laid over by the items' identities."""
    make_build(random_texts(range(60)))
    map_of(names="kind")
    made = load_map(make_build(random_texts(range(60)), load=fakes.version("2")))
    assert made.facts.moved == MovedFacts(60, 0.0, 0.0)
    assert made.facts.settings.names == "kind"


def test_groups_are_named_from_a_field(make_build, map_of):
    """--names takes the words of a field; three groups of three kinds of letters are named by their kinds."""
    make_build(random_texts(range(90)))
    made, _ = map_of(clusters=3, names="kind")
    assert {each.words[0] for each in made.facts.clusters} == {"pets", "sea", "food"}
    with pytest.raises(QueryError, match="kind"):
        map_of(names="colour")


def test_groups_of_the_same_words_are_told_apart(make_build, map_of, monkeypatch):
    """A name that is there already gets a number; groups without words have one number each, no second."""
    make_build(random_texts(range(90)))
    made, _ = map_of(clusters=6, names="kind")
    names = [each.name for each in made.facts.clusters]
    assert len(set(names)) == 6
    assert any(name.endswith(" (2)") for name in names)
    monkeypatch.setattr("embedsearch.maps.clusters.distinctive_words", lambda *_: [[], [], []])
    made, _ = map_of(clusters=3, names="kind")
    assert [each.name for each in made.facts.clusters] == ["group 1", "group 2", "group 3"]


def test_a_field_that_is_gone_does_not_stop_a_rebuild(make_build, map_of):
    """A rebuild without the field that named the groups names them from the texts."""
    make_build(random_texts(range(30)))
    map_of(names="kind")
    made = load_map(make_build([fakes.text(str(n), "tea tea cake") for n in range(12)]))
    assert made.facts.settings.names == ""
    assert made.facts.clusters[0].words


def test_a_map_made_again_keeps_its_direction(make_build, map_of, tmp_path):
    """Asked for again with other groups, the same items lie where they were."""
    make_build(random_texts(range(50)))
    _, one = map_of()
    _, two = map_of(clusters=2)
    np.testing.assert_allclose(list(where(one).values()), list(where(two).values()), atol=1e-5)
    assert open_build(tmp_path, "small").folder == two.folder


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_items_have_a_map(make_build, map_of, count):
    """An index of one, two or three items has one group and a map that keeps all neighbours."""
    make_build(random_texts(range(count)))
    made, _ = map_of()
    assert len(made.facts.clusters) == 1
    assert made.facts.preserved == 1
    assert np.isfinite(maps.xy_of(made.points)).all()


def test_of_many_items_a_sample_is_measured(make_build, map_of, monkeypatch):
    """Beyond the limit the share is that of a sample, the same items in the next build, and said so."""
    monkeypatch.setattr(maps, "MEASURED", 50)
    monkeypatch.setattr(maps, "SAMPLE", 40)
    monkeypatch.setattr(clusters, "LEARNED", 60)
    make_build(random_texts(range(200)))
    made, build = map_of()
    assert made.facts.measured == len(made.measured) == 40
    ids = np.array(build.items["id"].to_pylist())[made.measured]
    after = make_build(random_texts(range(5, 205)))
    again = np.array(after.items["id"].to_pylist())[load_map(after).measured]
    assert len(set(ids) & set(again)) >= 36


def test_samples_are_random_and_hardly_change(make_build):
    """The smallest keys are spread over the rows; words of one record have keys of their own."""
    rows = sample(keys_of(None, 10_000), 1000)
    assert len(rows) == 1000
    assert 4500 < rows.mean() < 5500
    build = make_build([fakes.text("a", "one two three"), fakes.text("b", "four")], unit=Unit.WORD)
    assert len(set(keys_of(build.source_state, 4).tolist())) == 4


def test_laid_over_undoes_a_turn_a_mirror_and_a_shift():
    """Points turned, mirrored and shifted come back exactly; with noise, nearer than by any turn."""
    draw = np.random.default_rng(0)
    old = draw.normal(size=(50, 2)).astype(np.float32)
    turned = old @ np.float32([[0, -1], [-1, 0]]) + np.float32([7, -3])
    np.testing.assert_allclose(procrustes(turned, np.arange(50), old), old, atol=1e-5)
    rows = np.arange(10, 50)
    noisy = turned + draw.normal(scale=0.05, size=(50, 2)).astype(np.float32)
    best = np.linalg.norm(procrustes(noisy, rows, old[rows])[rows] - old[rows])
    for angle in np.linspace(0, 2 * np.pi, 100):
        turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
        moved = (noisy[rows] - noisy[rows].mean(0)) @ turn + old[rows].mean(0)
        assert best <= np.linalg.norm(moved - old[rows]) + 1e-4
    np.testing.assert_array_equal(procrustes(turned, np.arange(2), old[:2]), turned)


def test_the_columns_are_as_documented():
    """The file of a map is an array of x, y, cluster and kept."""
    assert inputs.POINT.names == ("x", "y", "cluster", "kept")


def test_a_damaged_map_is_laid_out_anew(make_build, map_of):
    """A rebuild that finds the map damaged makes one with the same settings, and says so."""
    records = random_texts(range(40))
    make_build(records)
    before, build = map_of(clusters=3, names="kind")
    (build.folder / "map.npy").write_bytes(b"x")
    told = fakes.Told()
    after = load_map(make_build(records, progress=told))
    assert after.facts.settings == before.facts.settings
    assert len(after.facts.clusters) == 3
    assert "laying out a new map: the previous one is damaged" in told.stages


def test_a_lost_map_is_told(make_build, map_of):
    """Where the build around a map is damaged, the rebuild says how to make it again."""
    records = random_texts(range(40))
    make_build(records)
    _, build = map_of()
    (build.folder / "vectors.npy").write_bytes(b"x")
    told = fakes.Told()
    assert load_map(make_build(records, progress=told)) is None
    assert "the map is lost: embedsearch map small" in told.stages


def test_no_group_is_empty(make_build, map_of):
    """Of items that are alike there are as many groups as differ, however many were asked for."""
    make_build([fakes.text(f"{n}", "aab" if n % 2 else "xyz") for n in range(12)])
    made, _ = map_of(clusters=5)
    assert [each.size for each in made.facts.clusters] == [6, 6]
    assert sorted(set(made.points["cluster"].tolist())) == [0, 1]
