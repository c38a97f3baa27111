import pytest


def test_dupes_prints_the_documented_object(built):
    """`dupes --json` has all groups with their members, distances and what is not kept."""
    found = built.json("dupes", "pictures", "--no-check")
    assert found["checked"] is False
    assert set(found) == {
        "schema", "index", "build", "metric", "threshold", "auto", "keep", "count", "groups", "others",
        "checked", "similar",
    }  # fmt: skip
    assert (found["auto"], found["keep"], found["count"]) == (True, "best", 6)
    for group in found["groups"]:
        assert set(group) == {"exact", "members", "distance", "keep"}
        assert group["keep"] == group["members"][0]["id"]
        assert group["members"][0]["distance"] == 0
        assert group["distance"] == max(each["distance"] for each in group["members"]) <= found["threshold"]
    kept = [(group["keep"], group["members"][1]["id"]) for group in found["groups"]]
    assert sorted(kept) == [
        (f"{colour}/{colour} 1.png", f"{colour}/{colour} 0.png") for colour in ("blue", "green", "red")
    ]


def test_others_are_printed_one_a_line(built):
    """`--others` prints the ids of what is not kept and nothing else, as `--json` has them."""
    result = built("dupes", "pictures", "--no-check", "--others", "--keep", "first")
    assert (
        result.stdout.splitlines()
        == built.json("dupes", "pictures", "--no-check", "--keep", "first")["others"]
    )
    assert sorted(result.stdout.splitlines()) == ["blue/blue 1.png", "green/green 1.png", "red/red 1.png"]


def test_groups_are_told_to_people(built):
    """Without --json the groups stand with their distances, exact ones apart, and with the threshold."""
    text = built("dupes", "pictures", "--no-check").stdout
    assert "exact copies: the same content: none" in text
    assert "near copies, within a cosine distance of" in text
    assert "(derived from the index): 3 groups" in text
    assert "keep    red/red 1.png" in text
    assert "Fine detail is not compared. Look at the images before you delete." in text
    none = built("dupes", "faq", "--threshold", "0.01").stdout
    assert "near copies, confirmed by the second check: none" in none
    assert "say the same, not copies, within a cosine distance of 0.01 (as asked): none" in none


def test_what_is_near_and_no_copy_is_listed_apart(built):
    """By default plain images, which hold nothing to compare, are look-alikes, and all of them are kept."""
    found = built.json("dupes", "pictures")
    assert (found["checked"], found["groups"], found["others"]) == (True, [], [])
    assert sorted(group["keep"] for group in found["similar"]) == [
        f"{colour}/{colour} 1.png" for colour in ("blue", "green", "red")
    ]
    text = built("dupes", "pictures").stdout
    assert "look-alikes, not copies, within a cosine distance of" in text
    assert built("dupes", "pictures", "--others").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("dupes", "terms"), 1, "--unit text"),
        (("dupes", "faq", "--threshold", "near"), 1, "'auto' or a distance of 0 or more; got 'near'"),
        (("dupes", "faq", "--threshold=-1"), 1, "got '-1'"),
        (("dupes", "fag"), 1, "Did you mean 'faq'?"),
        (("dupes", "faq", "--keep", "worst"), 2, "'best', 'first'"),
    ],
)
def test_what_can_not_be_done_is_told(built, arguments, code, said):
    """Bad input gives a sentence on stderr and nothing on stdout."""
    result = built(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_info_measures_where_it_is_asked_to(built):
    """`info --diagnostics` adds the figures to the object, and a sentence to each for people."""
    assert "diagnostics" not in built.json("info", "faq")
    measured = built.json("info", "faq", "--diagnostics")["diagnostics"]
    assert set(measured) == {"asked", "hubness", "anisotropy", "columns", "duplicates", "norms"}
    assert measured["asked"] == 6
    text = built("info", "faq", "--diagnostics").stdout
    for sentence in (
        "how uneven the results are",
        "mean cosine of two random items",
        "lengths of the vectors",
    ):
        assert sentence in text
    assert "not measured" in built("info", "terms", "--diagnostics").stdout
    assert "hubness" not in built("info", "faq").stdout
