"""The map of a collection: similar images close together, as one PNG or as an HTML page.

Needs the extra ``[map]``.
"""

from semart_vectors.map.draw import MAX_IMAGES, MapReport, draw_map

__all__ = ["MAX_IMAGES", "MapReport", "draw_map"]
