"""Names of images: the path of a file as a text, one to one.

A file name may hold any bytes except ``/`` and NUL, while Parquet, JSON and terminals want UTF-8. A path in
UTF-8 is its own text, to the character: nothing is normalised. A byte that is not UTF-8 is written as ``//``
and two hexadecimal digits: ``caf//e9.jpg``. No path below a folder holds ``//``, so no text means two files.
"""

from __future__ import annotations

import re

from semart_vectors.errors import UnreadableImageError

_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_BYTE = re.compile("//([89a-f][0-9a-f])")


def to_text(path: str) -> str:
    """Return the text of a path as `os.fsdecode` gives it; a text stays as it is."""
    return _NOT_UTF8.sub(_escape, path)


def to_texts(paths: list[str]) -> list[str]:
    """Return the text of each path; the list itself if all are UTF-8, which is checked for all at once."""
    try:
        "".join(paths).encode()
    except UnicodeEncodeError:
        return [to_text(path) for path in paths]
    return paths


def to_path(text: str) -> str:
    """Return the path that a text stands for, relative to the folder of images, as `os.fsencode` takes it.

    Raises:
        UnreadableImageError: it leads out of the folder, or is not the text of any path.
    """
    path = text
    if "//" in text:
        path = _BYTE.sub(lambda match: chr(0xDC00 + int(match[1], 16)), text)
        if "//" in path or to_text(_as_listed(path)) != text:
            raise UnreadableImageError(
                "// in a name marks a byte that is not UTF-8, as in caf//e9.jpg: separate folders by one /"
            )
    if path.startswith("/") or (".." in path and ".." in path.split("/")):
        raise UnreadableImageError("its name leads out of the folder of images")
    return path


def _as_listed(path: str) -> str:
    """Decode escaped bytes that together make a character, as a listing of the folder would."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _escape(match: re.Match[str]) -> str:
    try:
        data = match[0].encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character of UTF-16, which Python never makes of a file name
        data = match[0].encode("utf-8", "surrogatepass")
    return "".join(f"//{byte:02x}" for byte in data)
