"""What a query means: a picture, a painting of the collection, or words."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from semart_vectors.errors import ConfigurationError
from semart_vectors.images import SUFFIXES
from semart_vectors.records import DIMENSION, Embedding

if TYPE_CHECKING:
    from collections.abc import Callable

    from semart_vectors.embedder import AsyncVisionEmbedder


class Collection(Protocol):
    """Paintings with vectors of one model, wherever they are kept."""

    @property
    def model_version(self) -> str:
        """The model of all its vectors; empty where it has none."""

    def embedding(self, image_file: str, /) -> Embedding:
        """Return the vector of a painting, or raise `KeyError`; it may block."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, and its vector."""

    text: str
    """As it was asked."""
    kind: Literal["file", "painting", "words"]
    """An image file, a painting of the collection, or words."""
    embedding: Embedding
    """Its vector, of the collection's model."""

    @property
    def leave_out(self) -> str | None:
        """The painting that the search need not find, as it is the query."""
        return self.text if self.kind == "painting" else None


async def embed_query(
    query: str, collection: Collection, open_embedder: Callable[[str], AsyncVisionEmbedder]
) -> Query:
    """Find out what a query means, and get its vector.

    Args:
        query: The path of a file; else the name of a painting, which costs no call; else words.
        collection: What is to be searched; where it is empty, no call is made either.
        open_embedder: Makes an embedder for a model; asked only when there is a call to make.

    Raises:
        ConfigurationError: it looks like an image's name, and there is no such file or painting.
        ItemError: the image or the words cannot be embedded.
        RunError: nothing could be, at present.
    """
    if await asyncio.to_thread(os.path.isfile, query):
        return Query(query, "file", await _embed(Path(query), collection, open_embedder))
    try:
        return Query(query, "painting", await asyncio.to_thread(collection.embedding, query))
    except KeyError:
        pass
    if Path(query).suffix.lower() in SUFFIXES:
        raise ConfigurationError(f"there is no file {query}, and no painting of that name in the collection")
    return Query(query, "words", await _embed(query, collection, open_embedder))


async def _embed(
    what: Path | str, collection: Collection, open_embedder: Callable[[str], AsyncVisionEmbedder]
) -> Embedding:
    if not collection.model_version:  # nothing can be found there: why pay for a vector?
        return Embedding(what, np.zeros(DIMENSION, np.float32), "", attempts=0)
    async with open_embedder(collection.model_version) as embedder:
        if isinstance(what, Path):
            return await embedder.embed_image(what)
        return await embedder.embed_text(what)
