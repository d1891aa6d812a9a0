"""Tests of default output names."""

import pytest

from vortex_hep.cli.common.files import out_path
from vortex_hep.cli.common.options import default_output


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("in.root", "in.vxc"),
        ("data/in.root", "data/in.vxc"),
        ("in.v2.root", "in.v2.vxc"),
        ("root://host:1094//store/in.root", "in.vxc"),
        ("https://host/a/in.root", "in.vxc"),
    ],
)
def test_default_output(source, expected):
    assert default_output(source, ".vxc") == expected


def test_output_as_given_or_inside_a_folder(tmp_path):
    assert out_path("a/in.root", "x.vxc", ".vxc") == "x.vxc"
    assert out_path("a/in.root", str(tmp_path), ".vxc") == str(tmp_path / "in.vxc")
    assert out_path("root://h//s/in.root", "archives/", ".vxc") == "archives/in.vxc"
