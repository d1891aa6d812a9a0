"""Other codecs and formats, each at its best settings."""
