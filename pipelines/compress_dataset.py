"""``python -m pipelines.compress_dataset``: entry point for a checkout."""

from __future__ import annotations

import sys

from vortex_hep.cli.datasets.compress import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(main())
