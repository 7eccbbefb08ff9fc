"""What a query means: an image file, an image of the gallery, or a text."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from semart_vectors.errors import ConfigurationError
from semart_vectors.images.formats import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.records import Embedding


class GalleryLike(Protocol):
    """Images with vectors of one model: a `Gallery`, or a `PostgresGallery`."""

    @property
    def model_version(self) -> str:
        """The model of all its vectors."""

    def embedding(self, image_file: str, /) -> Embedding:
        """Return the vector of an image, or raise `KeyError`; it may block."""

    def metadata(self, image_file: str, /) -> dict[str, Any]:
        """Return the other columns of an image, or raise `KeyError`; it may block."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, and its vector."""

    text: str
    """The query as it was given: a path, a name, an address, or a text."""
    kind: Literal["file", "gallery", "url", "text"]
    """What `text` is: an image file, the name of an image in the gallery, an image's address, or a text."""
    embedding: Embedding
    """Its vector, of the gallery's model."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The other columns, if it is an image of the gallery."""

    @property
    def exclude(self) -> str | None:
        """The image that the search should exclude because it is the query, if there is one."""
        return self.text if self.kind == "gallery" else None


async def embed_query(
    query: str, gallery: GalleryLike, open_embedder: Callable[[str], AsyncVisionEmbedder]
) -> Query:
    """Find out what a query means, and get its vector.

    Args:
        query: The first of these that it can be: the path of a file; the name of an image in the gallery,
            which costs no call; an https:// address of an image, which the service fetches; a text.
        gallery: What is to be searched; it must not be empty, as it would have no model.
        open_embedder: Makes an embedder for a model; called only when there is a call to make.

    Raises:
        ConfigurationError: it looks like the name of an image file, and there is no such file or image.
        ItemError: the image or the text cannot be embedded.
        RunError: the service cannot embed anything at the moment.
    """
    if await asyncio.to_thread(os.path.isfile, query):
        async with open_embedder(gallery.model_version) as embedder:
            return Query(query, "file", await embedder.embed_image(Path(query)))
    try:
        embedding = await asyncio.to_thread(gallery.embedding, query)
        return Query(query, "gallery", embedding, await asyncio.to_thread(gallery.metadata, query))
    except KeyError:
        pass
    if query.startswith("https://"):
        async with open_embedder(gallery.model_version) as embedder:
            return Query(query, "url", await embedder.embed_image(query))
    if Path(query).suffix.lower() in SUFFIXES:
        raise ConfigurationError(f"there is no file {query}, and no image of that name in the gallery")
    async with open_embedder(gallery.model_version) as embedder:
        return Query(query, "text", await embedder.embed_text(query))
