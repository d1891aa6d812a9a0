"""``vortex-hep dataset``: train, compress, verify and restore whole data sets."""

from __future__ import annotations

from typing import Any

from vortex_hep.cli.common.options import HelpFormatter
from vortex_hep.cli.datasets import compress, restore, train, verify
from vortex_hep.cli.datasets.arguments import EXIT_CODES

DESCRIPTION = """\
Work on a whole data set: learn one model from some of its files, compress all of them with it,
check the archives, and restore the files. INPUT is a folder, a glob in quotes, a list of paths and
URLs, or a coffea fileset; files may be local or on XRootD servers. The work is done by workers on
this machine, one per core, or at a site: HTCondor, Slurm, lxplus, a dask scheduler (--site,
--scheduler). Each output is compared with its source before it gets its name, and a journal knows
what became of every file: see 'vortex-hep jobs'.

Workers need the extra 'grid', learning a model needs 'train'.
"""

EXAMPLES = """\
  vortex-hep dataset train files.txt -o ttbar.vxm                        learn from 16 of the files
  vortex-hep dataset compress files.txt --model ttbar.vxm --output archives/ --dry-run
  vortex-hep dataset compress files.txt --model ttbar.vxm --output archives/
  vortex-hep dataset verify archives/ --against /data/ttbar              decode and compare
  vortex-hep dataset restore archives/ --output restored/                and back
  vortex-hep jobs show archives/vortex-job.sqlite                        how far it is

'vortex-hep dataset COMMAND --help' explains each.
"""


def register(commands: Any) -> None:
    """Add the sub-command and those under it."""
    parser = commands.add_parser(
        "dataset",
        help="train, compress, verify and restore whole data sets, on many workers",
        description=DESCRIPTION,
        epilog=f"examples:\n{EXAMPLES}{EXIT_CODES}",
        formatter_class=HelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="COMMAND [options]", required=True)
    for module in (train, compress, verify, restore):
        module.register(actions)
