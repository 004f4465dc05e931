"""What the pages name exists: commands, files, figures."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/deploy/*.md")])
FIGURES = sorted((ROOT / "docs/figures").glob("*.json"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_files_of_a_page_exist(page):
    text = page.read_text()
    modules = set(re.findall(r"python -m ((?:tf_talking|training|serving|benchmarks)[\w.]*\w)", text))
    files = set(re.findall(r"`((?:tf_talking|training|serving|benchmarks|tests|docs)/[\w/.-]+)`", text))
    links = set(re.findall(r"\]\(([^)#:]+)\)", text))
    missing = [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").is_file()]
    missing += [name for name in files if not (ROOT / name).exists()]
    missing += [name for name in links if not (page.parent / name).exists()]
    assert not missing


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.stem)
def test_figures_are_json_and_a_page_names_them(figure):
    assert json.loads(figure.read_text())
    assert any(f"figures/{figure.name}" in page.read_text() for page in PAGES)


def test_the_front_door_stays_short_and_leads_to_every_page():
    text = (ROOT / "BUILD_NOTES.md").read_text()
    assert len(text.encode()) <= 8192
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in text, page.name
