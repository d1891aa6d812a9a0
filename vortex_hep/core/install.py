"""The commands that install the package and its optional parts."""

from __future__ import annotations

#: The repository. pyproject.toml, CITATION.cff and the documentation name the same one; a test
#: compares them.
REPOSITORY = "https://github.com/vortex-hep/vortex_hep"

#: What pip is told to install. No release is on a package index yet, so the repository itself is
#: named; with the first release this becomes ``vortex-hep{extras}``, here and, as the test of this
#: module lists them, in the documentation.
REQUIREMENT = f"vortex-hep{{extras}} @ git+{REPOSITORY}"


def install_hint(*extras: str) -> str:
    """Command line that installs this package with some of its extras.

    Parameters
    ----------
    *extras : str
        Names of extras in pyproject.toml; none for what reading and writing archives needs.

    Returns
    -------
    str

    Examples
    --------
    >>> install_hint("train", "plot")
    "pip install 'vortex-hep[train,plot] @ git+https://github.com/vortex-hep/vortex_hep'"
    """
    listed = f"[{','.join(extras)}]" if extras else ""
    return f"pip install '{REQUIREMENT.format(extras=listed)}'"
