"""``python -m pipelines.verify_dataset``: ``vortex-hep dataset verify``, for a checkout."""

import sys

from vortex_hep.cli import main

if __name__ == "__main__":
    sys.exit(main(["dataset", "verify", *sys.argv[1:]]))
