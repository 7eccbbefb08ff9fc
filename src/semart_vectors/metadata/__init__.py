"""Tables of metadata and files of vectors: cleaned, read, written, merged and exported."""
