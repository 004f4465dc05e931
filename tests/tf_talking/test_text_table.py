"""Tables as text."""

from tf_talking.text_table import text_table


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [("nearest", 1, "0.5"), ("ft", 128, None)]
    assert text_table(("method", "T", "error"), rows).splitlines() == [
        "method     T  error",
        "nearest    1    0.5",
        "ft       128      –",
    ]


def test_no_rows_leave_the_header():
    assert text_table(("a", "b"), []) == "a  b"
