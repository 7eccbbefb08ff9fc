"""A web service that embeds images and texts for its clients, all within one rate limit.

    VISION_ENDPOINT=… VISION_KEY=… uvicorn --app-dir examples service:app
    curl --data-binary @painting.jpg http://127.0.0.1:8000/image
    curl --data "a ship in a storm" http://127.0.0.1:8000/text

One embedder is shared by all requests. There is no queue: when a client disconnects, its call is cancelled.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from semart_vectors import AsyncVisionEmbedder, RetryPolicy
from semart_vectors.errors import ItemError, RunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open the one embedder that all requests share."""
    policy = RetryPolicy(outage_limit_s=0)  # fail at once while Azure is down
    async with AsyncVisionEmbedder.from_env(requests_per_second=10, retry=policy) as embedder:
        app.state.embedder = embedder
        yield


async def embed(request: Request) -> Response:
    """Answer with the vector of the image or text in the body."""
    embedder: AsyncVisionEmbedder = request.app.state.embedder
    body = await request.body()
    try:
        if request.url.path == "/text":
            embedding = await embedder.embed_text(body.decode())
        else:
            embedding = await embedder.embed_image(body)
    except (ItemError, UnicodeDecodeError) as error:
        return JSONResponse({"error": str(error)}, status_code=422)
    except RunError as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return JSONResponse({"model": embedding.model_version, "vector": embedding.vector.tolist()})


app = Starlette(
    routes=[Route(path, embed, methods=["POST"]) for path in ("/image", "/text")], lifespan=lifespan
)
