"""Entry point of ``python -m vortex_hep``."""

from vortex_hep.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
