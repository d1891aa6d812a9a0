"""Files on XRootD servers (``root://``), through the client of the XRootD project."""
