"""``python -m pipelines.compress_dataset``: ``vortex-hep dataset compress``, for a checkout."""

import sys

from vortex_hep.cli import main

if __name__ == "__main__":
    sys.exit(main(["dataset", "compress", *sys.argv[1:]]))
