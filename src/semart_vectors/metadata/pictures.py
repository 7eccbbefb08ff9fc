"""What is known of pictures without metadata: from their names, and from the files where they are at hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from semart_vectors.errors import ConfigurationError, UnreadableImageError
from semart_vectors.images.headers import ImageHeader, read_header
from semart_vectors.images.names import to_path
from semart_vectors.metadata.checkpoint_rows import FIELDS, folder_and_format

if TYPE_CHECKING:
    from pathlib import Path


_FILE_FIELDS = (
    pa.field("size_bytes", pa.int64()),
    pa.field("width_px", pa.int32()),
    pa.field("height_px", pa.int32()),
    pa.field("taken", pa.timestamp("s")),
)


def table_of_pictures(names: list[str], images_dir: Path | None) -> Any:
    """Return an Arrow table of pictures: image_file, folder, format, and what the files say.

    Args:
        names: Their image_file.
        images_dir: The folder of the images: size_bytes, width_px, height_px and taken, the camera's date
            from EXIF, are read from the files in it, without their pixels; null for what a file does not say,
            or that is not there. None leaves these columns out.

    Raises:
        ConfigurationError: `images_dir` is no folder.
    """
    known = [folder_and_format(name) for name in names]
    columns = [names, [each[0] for each in known], [each[1] for each in known]]
    fields = list(FIELDS)
    if images_dir is not None:
        if not images_dir.is_dir():
            raise ConfigurationError(f"{images_dir} is not a folder: give the one that the images are in")
        with ThreadPoolExecutor(thread_name_prefix="semart-vectors-headers") as threads:
            headers = list(threads.map(lambda name: _read_header(images_dir, name), names))
        columns += [list(column) for column in zip(*headers, strict=True)]
        fields += _FILE_FIELDS
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _read_header(images_dir: Path, name: str) -> ImageHeader:
    try:
        return read_header(images_dir / to_path(name))
    except UnreadableImageError:  # the name cannot be that of a file in the folder
        return ImageHeader()
