"""The bytes that files of this package begin with: archives, models and weights (SPEC 2.2)."""

MAGIC = b"\x89VXC\r\n\x1a\n"
