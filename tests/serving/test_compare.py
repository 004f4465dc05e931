"""What the command refuses before it does anything."""

import pytest

from serving.compare import check_sheet


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "missing/sheet.png"])
def test_a_sheet_that_can_not_be_written_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=f"--sheet .*{name}: expected a name that ends in .png, in a folder"):
        check_sheet(str(tmp_path / name))


def test_a_sheet_that_can_be_written(tmp_path, monkeypatch):
    check_sheet(str(tmp_path / "sheet.PNG"))
    monkeypatch.chdir(tmp_path)
    check_sheet("sheet.png")
