"""Magic bytes of this package's files: archives, models and weights (SPEC 2.2)."""

MAGIC = b"\x89VXC\r\n\x1a\n"
