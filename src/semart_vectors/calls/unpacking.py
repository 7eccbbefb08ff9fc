"""The body of an answer, unpacked as far as an answer's size, whatever client it came through."""

from __future__ import annotations

import zlib

from semart_vectors.service.messages import MAX_ANSWER_BYTES, TransientError

_WINDOWS = {
    "gzip": (16 + zlib.MAX_WBITS,),
    "x-gzip": (16 + zlib.MAX_WBITS,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),  # some servers leave the header of zlib out
}


def unpacked(body: bytes, encoding: str | None) -> bytes:
    """Undo the content encoding of a body, up to `MAX_ANSWER_BYTES`.

    Raises:
        TransientError: it is larger, cut, or in an encoding other than gzip and deflate.
    """
    if not body or encoding is None or (encoding := encoding.strip().lower()) in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise TransientError(
            f"the answer has the content encoding {encoding[:40]!r}, which was not asked for"
        )
    for window in _WINDOWS[encoding]:
        unpacker = zlib.decompressobj(window)
        try:
            content = unpacker.decompress(body, MAX_ANSWER_BYTES + 1)
        except zlib.error:
            continue
        if len(content) > MAX_ANSWER_BYTES:
            raise too_long()
        if unpacker.eof and not unpacker.unused_data:
            return content
    raise TransientError(f"the answer cannot be unpacked as {encoding}")


def too_long() -> TransientError:
    """Return the error for an answer over the size limit."""
    return TransientError(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
