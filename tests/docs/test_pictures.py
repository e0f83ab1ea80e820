"""The pictures of the concept pages are what the code computes now."""

from xml.etree import ElementTree as ET

import pytest

from tests.docs.pages import ROOT
from tests.docs.scripts import loaded

FOLDER = ROOT / "docs/concepts"
SVG = "{http://www.w3.org/2000/svg}"


PICTURES = loaded("docs/concepts/make_pictures.py").PICTURES


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_its_program_draws(name: str) -> None:
    drawn = PICTURES[name]()
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == drawn, "run docs/concepts/make_pictures.py"
    picture = ET.fromstring(drawn)  # noqa: S314 - our own file
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    points = [
        tuple(map(float, point.split(",")))
        for line in picture.iter(f"{SVG}polyline")
        for point in line.attrib["points"].split()
    ]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_every_picture_is_shown() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in FOLDER.glob("*.md"))
    assert [name for name in PICTURES if f"]({name}.svg)" not in pages] == []
