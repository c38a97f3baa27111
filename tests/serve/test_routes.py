"""What each route answers is what the library answers, in the form of `--json`."""

import base64
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.records import Unit
from embedsearch.serve import schemas
from embedsearch.serve.http import app
from tests.fakes import COLOURS, FRUITS, fruit_entries, picture, text
from tests.serve.conftest import serving

ODD = ["a/b.png", "a//b", "..", "../../etc/passwd", "ü ß?#%", "a\\b", "items/x"]


def png(colour, size=(8, 8)):
    """Return the bytes of an image of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def indexes(make, letters):  # noqa: ARG001  the server loads letters too
    """Indexes of fruits, of words, of colours and of odd ids, open, by name."""
    words = [text("a", "red apple"), text("b", "ripe fig")]
    colours = [picture(name, png(rgb)) for name, rgb in COLOURS.items()]
    odd = [text(each, f"fruit {at}") for at, each in enumerate(ODD)]
    return {
        "fruits": make("fruits", fruit_entries()),
        "words": make("words", words, Unit.WORD),
        "colours": make("colours", colours, Unit.IMAGE),
        "odd": make("odd", odd),
    }


@pytest.fixture(scope="module")
def client(indexes):
    """A client of a server of these indexes."""
    with serving(indexes["fruits"].build.folder.parents[2]) as found:
        yield found


def printed(index, results):
    """Return what `search --json` prints of results."""
    return json.loads(json.dumps(schemas.SearchOutput.of(index.manifest, results).printed()))


def test_a_search_answers_as_the_library(client, indexes):
    """Whatever a request asks with, its answer is the JSON of `Index.search` with the same arguments."""
    fruits, words, colours = (indexes[name] for name in ("fruits", "words", "colours"))
    red = base64.b64encode(png("red")).decode()
    parts = [{"text": "apple"}, {"item": "fig", "weight": 0.5}, {"text": "date", "weight": -0.25}]
    terms = [("apple", 1), (es.MoreLike("fig"), 0.5), ("date", -0.25)]
    vector = fruits.encoder.encode(["plum"])[0]
    asked = [
        (fruits, {"text": "apple", "k": 3}, fruits.search("apple", 3)),
        (fruits, {"text": "apple"}, fruits.search("apple")),
        (fruits, {"item": "pear", "k": 2}, fruits.search(es.MoreLike("pear"), 2)),
        (fruits, {"vector": vector.tolist(), "k": 2}, fruits.search(es.Vector(vector), 2)),
        (fruits, {"text": "pear", "where": "length = 5"}, fruits.search("pear", where="length = 5")),
        (
            fruits,
            {"text": "pear", "where": {"first": ["a", "p"], "length": 4}},
            fruits.search("pear", where={"first": ["a", "p"], "length": 4}),
        ),
        (
            fruits,
            {"parts": parts, "k": 4, "fold": False},
            fruits.search(es.Query(tuple(es.WeightedTerm(*term) for term in terms)), 4, fold=False),
        ),
        (words, {"text": "a red fig", "word": 3, "k": 2}, words.search(es.Word("a red fig", 3), 2)),
        (words, {"text": "a red fig", "word": "red"}, words.search(es.Word("a red fig", "red"))),
        (colours, {"image": red, "k": 2, "mode": "vector"}, colours.search(png("red"), 2)),
    ]
    for index, body, results in asked:
        answered = client.post(f"/v1/indexes/{index.name}/search", json=body)
        assert answered.status_code == 200, (body, answered.text)
        assert answered.json() == printed(index, results), body


def test_an_image_can_be_uploaded(client, indexes):
    """A form with a file answers as base64 in JSON does; its other fields are the keys of the JSON."""
    answered = client.post(
        "/v1/indexes/colours/search",
        files={"image": ("red.png", png("red"))},
        data={"k": "2", "fold": "false"},
    )
    results = indexes["colours"].search(png("red"), 2, fold=False)
    assert answered.json() == printed(indexes["colours"], results)
    assert answered.json()["hits"][0]["id"] == "red"


def test_a_part_of_an_image_is_asked_with(client):
    """`crop` cuts the image, in JSON and in a form; without an image, and as no part, it is refused."""
    both = Image.new("RGB", (8, 4), COLOURS["red"])
    both.paste(COLOURS["navy"], (4, 0, 8, 4))
    drawn = io.BytesIO()
    both.save(drawn, "PNG")
    where, text = "/v1/indexes/colours/search", base64.b64encode(drawn.getvalue()).decode()
    right = client.post(where, json={"image": text, "crop": [0.5, 0, 1, 1], "k": 1})
    left = client.post(
        where, files={"image": ("a.png", drawn.getvalue())}, data={"crop": "0,0,0.5,1", "k": 1}
    )
    assert [each.json()["hits"][0]["id"] for each in (left, right)] == ["red", "navy"]
    for body, status, said in (
        ({"text": "a", "crop": [0, 0, 1, 1]}, 422, "crop is a part of an image"),
        ({"image": text, "crop": [1, 0, 0, 1]}, 400, "left, top, right and bottom edge"),
        ({"parts": [{"text": "a"}], "crop": [0, 0, 1, 1]}, 422, "Put crop into parts"),
    ):
        answered = client.post(where, json=body)
        assert answered.status_code == status
        assert said in answered.json()["detail"]


def test_images_of_a_request_are_bounded_together(client):
    """Images that are small enough one by one may together be too large for one request."""
    large = {"image": base64.b64encode(png("red", (6000, 5000))).decode()}
    answered = client.post("/v1/indexes/colours/compare", json={"things": [large, large]})
    assert answered.status_code == 422
    assert answered.json()["detail"] == "the images together have more than 50 megapixels"


def test_similar_leaves_the_item_out(client, indexes):
    """`similar` answers as `Index.similar`."""
    answered = client.post(
        "/v1/indexes/fruits/similar", json={"item": "apple", "k": 2, "where": "length > 4"}
    )
    fruits = indexes["fruits"]
    assert answered.json() == printed(fruits, fruits.similar("apple", 2, "length > 4"))


def test_explain_and_compare_answer_as_the_library(client, indexes):
    """`explain` and `compare` answer with the JSON of the library's results."""
    fruits = indexes["fruits"]
    answered = client.post("/v1/indexes/fruits/explain", json={"text": "ripe apple", "hit": "apple"})
    made = schemas.ExplainOutput.of(fruits.manifest, fruits.explain("ripe apple", "apple"))
    assert answered.json() == json.loads(json.dumps(made.printed()))
    answered = client.post("/v1/indexes/fruits/compare", json={"things": [{"text": "fig"}, {"text": "figs"}]})
    (compared,) = answered.json()["comparisons"]
    letters = fruits.encoder.encode(["fig", "figs"])
    far = es.distances(letters, letters, es.Metric.COSINE)
    assert compared["labels"] == ["fig", "figs"]
    assert np.allclose(compared["distances"], far, atol=1e-6)


def test_indexes_are_listed_and_described(client, indexes):
    """The list names each index; one of them is described as `info --json` does."""
    listed = client.get("/v1/indexes").json()
    assert [each["name"] for each in listed["indexes"]] == ["colours", "fruits", "odd", "words"]
    fruits = indexes["fruits"]
    described = client.get("/v1/indexes/fruits").json()
    made = schemas.InfoOutput.of("fruits", fruits.build, fruits.crossmodal, None, None).printed()
    assert described == json.loads(json.dumps(made))


def test_an_item_comes_with_its_text_or_image(client):
    """An item is a hit of rank 0; its text, its file's bytes and a thumbnail have addresses of their own."""
    item = client.get("/v1/indexes/fruits/items/apple").json()["item"]
    assert (item["rank"], item["distance"], item["text"], item["fields"]["length"]) == (0, 0, "apple", 5)
    content = client.get("/v1/indexes/fruits/content/apple")
    assert (content.text, content.headers["content-type"]) == ("apple", "text/plain; charset=utf-8")
    image = client.get("/v1/indexes/colours/content/navy")
    assert (image.content, image.headers["content-type"]) == (png(COLOURS["navy"]), "image/png")
    small = Image.open(io.BytesIO(client.get("/v1/indexes/colours/thumbnails/navy").content))
    assert (small.format, small.size) == ("JPEG", (8, 8))
    assert abs(np.asarray(small, float) - COLOURS["navy"]).max() < 8


def test_any_id_can_be_asked_for(client):
    """An id that is percent-encoded may hold slashes, dots, spaces and any letters."""
    for at, each in enumerate(ODD):
        coded = "".join(f"%{byte:02X}" for byte in each.encode())
        assert client.get(f"/v1/indexes/odd/items/{coded}").json()["item"]["text"] == f"fruit {at}", each


def test_embeddings_are_those_of_the_encoder(client, indexes):
    """The OpenAI client gets the vectors of an index's encoder, as numbers and as base64, and the tokens."""
    import openai

    asked = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="any", max_retries=0)
    wanted = indexes["fruits"].encoder.encode(FRUITS)
    for settings in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        made = asked.embeddings.create(model="fruits", input=FRUITS, **settings)
        rows = [each.embedding for each in made.data]
        if settings.get("encoding_format") == "base64":
            rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]
        assert np.array_equal(np.array(rows, np.float32), wanted), settings
        assert [each.index for each in made.data] == list(range(len(FRUITS)))
        assert (made.model, made.usage.prompt_tokens, made.usage.total_tokens) == ("fruits", 10, 10)
    one = asked.embeddings.create(model="letters", input="fig", dimensions=26)
    assert np.array_equal(one.data[0].embedding, indexes["fruits"].encoder.encode(["fig"])[0])
    with pytest.raises(openai.UnprocessableEntityError, match="lists of tokens are not read"):
        asked.embeddings.create(model="fruits", input=[1, 2])
    with pytest.raises(openai.BadRequestError, match="makes vectors of 26 numbers, which are not cut"):
        asked.embeddings.create(model="fruits", input="fig", dimensions=5)
    with pytest.raises(openai.BadRequestError, match="Did you mean 'fruits'"):
        asked.embeddings.create(model="fruit", input="fig")


def test_a_new_index_names_a_model(client, make):
    """Vectors by the encoder of an index can be asked for before anything else is asked of it."""
    made = make("late", [text("fig", "fig")])
    answered = client.post("/v1/embeddings", json={"model": "late", "input": "abc"})
    assert answered.json()["data"][0]["embedding"][:4] == [1, 1, 1, 0]
    made.remove()


@pytest.mark.parametrize("count", [1, 32, 33, 100])
def test_many_texts_keep_their_order(client, indexes, count):
    """Texts that go through the model in several batches come back in their order."""
    texts = ["abc"[: 1 + at % 3] * (1 + at % 7) for at in range(count)]
    made = client.post("/v1/embeddings", json={"model": "fruits", "input": texts}).json()
    wanted = indexes["fruits"].encoder.encode(texts)
    assert np.array_equal([each["embedding"] for each in made["data"]], wanted)


ERRORS = [
    ("search", {"text": "fig", "k": 0}, 422, "k: Input should be greater than or equal to 1"),
    ("search", {"text": "fig", "k": 1001}, 422, "k: Input should be less than or equal to 1000"),
    ("search", {}, 422, "Ask with one of text, image, sound, item, vector and row; got none."),
    ("search", {"text": "a", "item": "b"}, 422, "got text and item."),
    ("search", {"text": "fig", "mode": "best"}, 422, "mode: Input should be 'vector', 'lexical' or 'hybrid'"),
    ("search", {"text": "fig", "unknown": 1}, 422, "There is no key 'unknown'."),
    ("search", dict.fromkeys(map(str, range(200_000)), 0), 422, "There is no key '0'."),
    ("search", {"text": "fig", "where": 3}, 422, "where: Input should be a valid string, or an object"),
    ("search", {"text": "fig", "where": {"length": [{}] * 9999}}, 422, "where: Input should be a valid"),
    ("search", {"text": "fig", "where": {"length": [1] * 10_001}}, 422, "should have at most 10000 items"),
    ("search", {"row": {"a": {}}}, 422, "row.a: Input should be a valid boolean, or a valid integer, or "),
    ("search", {"vector": ["a"] * 60_000}, 422, "vector.0: Input should be a valid number"),
    ("search", {"parts": [{"text": "a"}], "text": "b"}, 422, "Put text into parts, or leave out parts."),
    ("search", {"image": "no base64!"}, 422, "image: the text is not base64"),
    ("search", {"text": " "}, 400, "The query is empty. Type what you are looking for."),
    ("search", {"vector": [1, 2]}, 400, "takes vectors of 26 numbers; got 2."),
    ("search", {"text": "fig", "where": "nothing = 1"}, 400, "'nothing'"),
    ("search", {"text": "fig", "where": {"nothing": 1}}, 400, "'nothing'"),
    ("search", {"text": "fig", "where": "("}, 400, "can't be understood"),
    ("search", {"parts": [{"text": "a", "weight": -1}]}, 400, "at least one with a positive weight"),
    ("search", {"item": "kiwi"}, 404, "has no item 'kiwi'"),
    ("search", {"text": "☠"}, 422, "the text holds a skull"),
    ("similar", {"item": "kiwi"}, 404, "has no item 'kiwi'"),
    ("explain", {"text": "fig", "hit": "kiwi"}, 404, "has no item 'kiwi'"),
    ("compare", {"things": [{"text": "fig"}]}, 422, "things: List should have at least 2 items"),
    (
        "compare",
        {"things": [{"text": "fig"}, {"item": "fig"}]},
        400,
        "can be compared",
    ),
]


@pytest.mark.parametrize(("verb", "body", "status", "sentence"), ERRORS)
def test_errors_are_problem_details(client, verb, body, status, sentence):
    """A refused request has its status, and the library's sentence as the detail of its problem."""
    answered = client.post(f"/v1/indexes/fruits/{verb}", json=body)
    problem = answered.json()
    assert (answered.status_code, problem["status"]) == (status, status), problem
    assert answered.headers["content-type"] == "application/problem+json"
    assert sentence in problem["detail"]
    assert len(problem["detail"]) < 500
    assert set(problem) == {"type", "title", "status", "detail", "message"}


@pytest.mark.parametrize("body", [{"x" * 10**6: 1}, {"row": {"x" * 10**6: {}}}])
def test_a_long_key_is_not_repeated(client, body):
    """An error names the beginning of a key."""
    assert len(client.post("/v1/indexes/fruits/search", json=body).json()["detail"]) < 500


def test_large_bodies_are_read_beside_the_event_loop(client, monkeypatch):
    """A long body is parsed in a thread of its own, so that others are answered meanwhile."""
    threads = []

    def parsed(form, content):
        threads.append(threading.current_thread())
        return form.model_validate_json(content)

    monkeypatch.setattr(app, "_parsed", parsed)
    for length in (1, 90_000):
        client.post("/v1/indexes/fruits/search", json={"text": "a" * length})
    assert threads[0] is not threads[1]


def test_addresses_that_lead_nowhere(client):
    """An unknown index is named with the nearest one; so is each other address that there is not."""
    missing = client.get("/v1/indexes/fruit")
    assert missing.status_code == 404
    assert "Did you mean 'fruits'?" in missing.json()["detail"]
    assert missing.json()["type"] == "urn:embedsearch:IndexNotFoundError"
    assert client.get("/v1/indexes/..%2f..%2fetc").status_code == 404
    assert client.get("/v1/indexes/.hidden").status_code == 400
    assert "GET /docs lists" in client.get("/nothing").json()["detail"]
    assert client.put("/health").json()["detail"] == "This address takes only GET."
    assert client.get("/v1/indexes/fruits/thumbnails/fig").status_code == 404
    text_body = client.post("/v1/indexes/fruits/search", content="a", headers={"content-type": "text/plain"})
    assert (text_body.status_code, text_body.json()["title"]) == (415, "Unsupported Media Type")
