"""The environment variables, completed from a .env file."""

from __future__ import annotations

import os

import dotenv

from semart_vectors import errors


def environment() -> dict[str, str]:
    """Return the environment; where VISION_ENDPOINT or VISION_KEY is missing, .env adds what is not set.

    Raises:
        ConfigurationError: the .env file cannot be read.
    """
    environment = dict(os.environ)
    if not {"VISION_ENDPOINT", "VISION_KEY"} <= environment.keys():
        try:
            found = dotenv.dotenv_values(".env")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.ConfigurationError(
                f"cannot read .env: {error}; it must be UTF-8 text that you may read"
            ) from error
        for name, value in found.items():
            environment.setdefault(name, value or "")
    return environment
