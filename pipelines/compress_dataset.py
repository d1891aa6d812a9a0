"""``vortex-hep dataset compress``, to be run from a checkout."""

import sys

from vortex_hep.cli import main

if __name__ == "__main__":
    sys.exit(main(["dataset", "compress", *sys.argv[1:]]))
