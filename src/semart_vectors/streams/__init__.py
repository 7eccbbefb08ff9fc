"""Many at a time in bounded memory: a window of workers, reading ahead, blocking work in threads."""
