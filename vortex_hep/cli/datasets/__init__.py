"""The commands over whole data sets, ``vortex-hep dataset``, and over their jobs.

``dataset`` and ``jobs`` register the two groups; ``train``, ``compress``, ``verify`` and
``restore`` are one command each. ``arguments`` has what they can be told, ``dryrun`` says what a
job would do, ``jobrunning`` carries it out, and ``journaltext`` prints what its journal says.
"""
