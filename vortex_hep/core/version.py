"""The release number, as in pyproject.toml and archives."""

__version__ = "0.1.0"
