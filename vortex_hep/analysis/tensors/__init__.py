"""Archives as batches of tensors, for training loops; needs torch.

Examples
--------
>>> from torch.utils.data import DataLoader                             # doctest: +SKIP
>>> from vortex_hep.analysis.tensors import ArchiveDataset, ServeOptions         # doctest: +SKIP
>>> options = ServeOptions(tree="jets", batch=1024)                     # doctest: +SKIP
>>> loader = DataLoader(ArchiveDataset("jets.vxc", options), batch_size=None)  # doctest: +SKIP
"""

from vortex_hep.analysis.tensors.dataset import ArchiveDataset, Batch, Jagged, Padded
from vortex_hep.analysis.tensors.options import ServeOptions

__all__ = ["ArchiveDataset", "Batch", "Jagged", "Padded", "ServeOptions"]
