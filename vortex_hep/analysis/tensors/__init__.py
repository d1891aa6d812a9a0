"""Archives as batches of tensors, for training loops; needs torch.

Examples
--------
>>> from torch.utils.data import DataLoader
>>> from vortex_hep.analysis.tensors import ArchiveDataset, ServeOptions
>>> options = ServeOptions(tree="jets", batch=1024)
>>> loader = DataLoader(ArchiveDataset("jets.vxc", options), batch_size=None)
>>> [len(batch["pt"]) for batch in loader]
[1024, 976]
"""

from vortex_hep.analysis.extras import needs
from vortex_hep.analysis.tensors.options import ServeOptions

with needs("train"):
    from vortex_hep.analysis.tensors.dataset import ArchiveDataset, Batch, Jagged, Padded

__all__ = ["ArchiveDataset", "Batch", "Jagged", "Padded", "ServeOptions"]
