"""The HTTP server: an index folder, searched over the network.

| route | body | answer |
|---|---|---|
| `POST /v1/indexes/{name}/search` | `SearchRequest`, or a form with a file | `SearchOutput` |
| `POST /v1/indexes/{name}/similar` | `SimilarRequest` | `SearchOutput` |
| `POST /v1/indexes/{name}/explain` | `ExplainRequest` | `ExplainOutput` |
| `POST /v1/indexes/{name}/compare` | `CompareRequest` | `CompareOutput` |
| `GET /v1/indexes` | | `ListOutput` |
| `GET /v1/indexes/{name}` | | `InfoOutput` |
| `GET /v1/indexes/{name}/items/{id}` | | `ItemOutput` |
| `GET /v1/indexes/{name}/content/{id}` | | the text, or the bytes of the file |
| `GET /v1/indexes/{name}/thumbnails/{id}` | | a JPEG |
| `POST /v1/embeddings` | `EmbeddingsRequest` | `EmbeddingsOutput` |
| `GET /health`, `GET /ready` | | `Status` |
| `GET /metrics` | | the text form of Prometheus |

Errors are `Problem`s of the media type `application/problem+json`.
"""
