"""What one call is, as pure functions: a request out, a vector or the right error in."""
