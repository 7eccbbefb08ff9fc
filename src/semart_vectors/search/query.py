"""What a query means: a picture, a painting of the collection, or words."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from semart_vectors.errors import ConfigurationError
from semart_vectors.images.load import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.records import Embedding


class Collection(Protocol):
    """Paintings with vectors of one model, wherever they are kept."""

    @property
    def model_version(self) -> str:
        """The model of all its vectors."""

    def embedding(self, image_file: str, /) -> Embedding:
        """Return the vector of a painting, or raise `KeyError`; it may block."""

    def metadata(self, image_file: str, /) -> dict[str, Any]:
        """Return the other columns of a painting, or raise `KeyError`; it may block."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, and its vector."""

    text: str
    """As it was asked."""
    kind: Literal["file", "url", "painting", "words"]
    """An image file, or one's address, a painting of the collection, or words."""
    embedding: Embedding
    """Its vector, of the collection's model."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, if it is a painting."""

    @property
    def leave_out(self) -> str | None:
        """The painting that the search need not find, as it is the query."""
        return self.text if self.kind == "painting" else None


async def embed_query(
    query: str, collection: Collection, open_embedder: Callable[[str], AsyncVisionEmbedder]
) -> Query:
    """Find out what a query means, and get its vector.

    Args:
        query: The path of a file; else the name of a painting, which costs no call; else an https:// address
            of an image, which the service fetches; else words.
        collection: What is to be searched; it must not be empty, which has no model.
        open_embedder: Makes an embedder for a model; asked only when there is a call to make.

    Raises:
        ConfigurationError: it looks like an image's name, and there is no such file or painting.
        ItemError: the image or the words cannot be embedded.
        RunError: nothing could be, at present.
    """
    if await asyncio.to_thread(os.path.isfile, query):
        async with open_embedder(collection.model_version) as embedder:
            return Query(query, "file", await embedder.embed_image(Path(query)))
    try:
        embedding = await asyncio.to_thread(collection.embedding, query)
        return Query(query, "painting", embedding, await asyncio.to_thread(collection.metadata, query))
    except KeyError:
        pass
    if query.startswith("https://"):
        async with open_embedder(collection.model_version) as embedder:
            return Query(query, "url", await embedder.embed_image(query))
    if Path(query).suffix.lower() in SUFFIXES:
        raise ConfigurationError(f"there is no file {query}, and no painting of that name in the collection")
    async with open_embedder(collection.model_version) as embedder:
        return Query(query, "words", await embedder.embed_text(query))
