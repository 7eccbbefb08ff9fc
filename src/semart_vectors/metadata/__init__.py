"""Tables: SemArt cleaned, tables read and written, vectors merged with metadata, and exported."""
