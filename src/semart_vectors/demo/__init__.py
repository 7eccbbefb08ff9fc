"""A small collection of generated paintings in the form of SemArt, and a demo that runs every step on it."""
