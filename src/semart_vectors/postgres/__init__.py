"""Vectors in PostgreSQL: a merged file loaded into a table with pgvector, and searched there.

Needs the extra ``[pgvector]``. Everything here blocks: on an event loop, call it through `asyncio.to_thread`.
A database URL holds a password, so no message contains one, and no error of libpq about a URL is passed on.
"""

from semart_vectors.postgres.load import LoadReport, load_vectors
from semart_vectors.postgres.search import PostgresGallery

__all__ = ["LoadReport", "PostgresGallery", "load_vectors"]
