"""A small museum of invented paintings, and the story that is told with it."""
