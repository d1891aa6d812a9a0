"""The experiments: open data of each kind, from the download to a table of results.

Each is a folder with ``experiment.toml`` (what the data are, where they lie, how they are split),
a ``README.md`` and a ``__main__.py``: ``python -m pipelines.experiments.atlas_ftag --help``. All
of them run the same four steps, which are in the modules of this package:

======== ======================================= ============================================
step     module                                  what it leaves in the output folder
======== ======================================= ============================================
fetch    :mod:`~pipelines.experiments.fetch`     the files, from the network or found locally
prepare  :mod:`~pipelines.experiments.prepare`   a part to learn from, a part to measure
train    :mod:`~pipelines.experiments.learn`     a model per family
evaluate :mod:`~pipelines.experiments.evaluate`  archives, ``results.json``, tables and plots
======== ======================================= ============================================
"""
