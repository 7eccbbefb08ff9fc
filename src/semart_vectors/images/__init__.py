"""Images on their way out: found, named, read, checked, and repaired where that is asked for."""
