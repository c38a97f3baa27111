"""The OpenAPI schema, fuzzed: no request makes the server fail, and each answer is as the schema says."""

from contextlib import suppress

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fakes import fruit_entries
from tests.serve.conftest import serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EACH = 12  # requests of one route, of one kind
ROUTES = 13


@pytest.fixture(scope="module")
def client(make, letters):  # noqa: ARG001  the server counts letters too
    """A client of a server of fruits."""
    with serving(make("fruits", fruit_entries()).build.folder.parents[2]) as found:
        yield found


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_request_makes_the_server_fail(client, mode):
    """Requests made from the schema, and against it, are answered as the schema says, never with 500."""
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations()]
    assert len(operations) == ROUTES
    asked = []
    for operation in operations:
        named = [{}, {"name": "fruits"}] if "{name}" in operation.path else [{}]
        for path_parameters in named:

            @given(operation.as_strategy(mode, path_parameters=path_parameters or None))
            @settings(
                max_examples=EACH, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
            )
            def ask(case):
                asked.append(case)
                case.call_and_validate(checks=CHECKS)

            with suppress(Unsatisfiable):  # nothing can be wrong in a request without a body
                ask()
    assert {each.path for each in asked if each.method == "POST"} == {
        each.path for each in operations if each.method == "post"
    }


def test_each_example_of_the_page_is_answered(client):
    """/docs shows every route with an example; those of the fruits' routes are answered."""
    schema = client.get("/openapi.json").json()
    page = client.get("/docs").text
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            assert f"{method.upper()} {path}</code>" in page
            assert route["description"], path
            body = route.get("requestBody", {}).get("content", {}).get("application/json")
            if body and "{name}" not in path:
                answered = client.request(method, path, json=body["example"])
                assert answered.status_code in (200, httpx.codes.BAD_REQUEST), path
    assert "http" not in page.replace("http://localhost:8000", "").replace("HTTP", "")
