"""The OpenAPI schema as one page for people; it loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1.1rem;margin-top:2.5rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}"
    "pre{background:#f4f4f5;padding:.7rem;overflow-x:auto}td,th{text-align:left;padding:.15rem 1rem .15rem 0;"
    "vertical-align:top}"
)


def page(schema: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI schema: each route, what it takes, an example, and its answers."""
    parts = [
        f"<h2 id='{_id(method, path)}'><code>{method.upper()} {html.escape(path)}</code></h2>"
        + "".join(_route(schema, method, path, route))
        for path, methods in schema["paths"].items()
        for method, route in methods.items()
    ]
    info = schema["info"]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{info['title']}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style>"
        f"<h1>{info['title']} {info['version']}</h1><p>{html.escape(info['summary'])} "
        "The same for programs: <a href='openapi.json'>openapi.json</a>.</p>" + "".join(parts) + "</html>"
    )


def _id(method: str, path: str) -> str:
    return html.escape(f"{method} {path}".replace(" ", "-"))


def _route(schema: Mapping[str, Any], method: str, path: str, route: Mapping[str, Any]) -> Iterator[str]:
    yield f"<p>{html.escape(route.get('description', ''))}</p>"
    body = route.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        form = schema["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        wanted = form.get("required", ())
        yield "<table><tr><th>key<th>what it is"
        for name, each in form["properties"].items():
            needed = " (required)" if name in wanted else ""
            yield f"<tr><td><code>{name}</code><td>{html.escape(each.get('description', ''))}{needed}"
        example = json.dumps(body["example"], ensure_ascii=False).replace("'", "'\\''")
        yield "</table><pre>" + html.escape(
            f"curl http://localhost:8000{path.replace('{name}', 'faq')} \\\n"
            f"  -H 'Content-Type: application/json' \\\n  -d '{example}'"
        )
        if "multipart/form-data" in route["requestBody"]["content"]:
            filled = path.replace("{name}", "holidays")
            yield f"\n\ncurl http://localhost:8000{filled} -F image=@beach.jpg -F k=5"
        yield "</pre>"
    elif method == "get":
        filled = path.replace("{name}", "faq").replace("{id}", "1")
        yield f"<pre>curl http://localhost:8000{html.escape(filled)}</pre>"
    answers = ", ".join(f"{status} {each['description']}" for status, each in route["responses"].items())
    yield f"<p>Answers: {html.escape(answers)}.</p>"
