"""The release, as pyproject.toml and archives state it."""

__version__ = "0.1.0"
