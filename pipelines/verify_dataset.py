"""``vortex-hep dataset verify``, to be run from a checkout."""

import sys

from vortex_hep.cli import main

if __name__ == "__main__":
    sys.exit(main(["dataset", "verify", *sys.argv[1:]]))
