"""Paintings in PostgreSQL: a merged file loaded into a table of pgvector's, and searched there.

Needs the extra ``[pgvector]``. Everything here blocks: on an event loop, call it by `asyncio.to_thread`. An
address holds a password, so it is in no message, and no error of libpq's about an address is passed on.
"""

from semart_vectors.postgres.gallery import PostgresGallery
from semart_vectors.postgres.load import LoadReport, load_vectors

__all__ = ["LoadReport", "PostgresGallery", "load_vectors"]
