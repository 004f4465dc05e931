import subprocess
import sys

import pytest

from tf_talking.landmarks.scheme import get_scheme, segments


def test_ibug68_is_the_design_table():
    table = {part.name: part for part in get_scheme("ibug68").parts}
    expected = {
        "jaw": (range(0, 17), False, (255, 255, 255)),
        "right_brow": (range(17, 22), False, (255, 0, 0)),
        "left_brow": (range(22, 27), False, (0, 255, 0)),
        "nose_bridge": (range(27, 31), False, (0, 0, 255)),
        "nostrils": (range(31, 36), False, (0, 0, 255)),
        "right_eye": (range(36, 42), True, (255, 0, 255)),
        "left_eye": (range(42, 48), True, (0, 255, 255)),
        "outer_lips": (range(48, 60), True, (255, 255, 0)),
    }
    assert list(table) == list(expected)
    for name, (indices, closed, colour) in expected.items():
        part = table[name]
        assert (part.indices, part.closed, part.colour) == (tuple(indices), closed, colour)


def test_inner_lips_are_drawn_on_request():
    plain, inner = get_scheme("ibug68"), get_scheme("ibug68", inner_lips=True)
    assert plain.num_points == inner.num_points == 68
    assert inner.parts[:-1] == plain.parts
    assert inner.parts[-1].indices == tuple(range(60, 68))


def test_gaze_adds_a_mark_on_each_iris():
    scheme = get_scheme("ibug68_gaze")
    assert scheme.num_points == 70
    assert [part.indices for part in scheme.parts[-2:]] == [(68,), (69,)]
    cross = [line for line in segments(scheme, 2) if line.start == 68]
    assert [(line.start_offset, line.end_offset) for line in cross] == [((-2, 0), (2, 0)), ((0, -2), (0, 2))]


def test_segments_close_the_closed_parts():
    lines = segments(get_scheme("ibug68"), 2)
    assert len(lines) == 16 + 4 + 4 + 3 + 4 + 6 + 6 + 12
    pairs = {(line.start, line.end) for line in lines}
    assert {(41, 36), (47, 42), (59, 48)} <= pairs
    assert (16, 0) not in pairs
    assert [line.part for line in lines] == sorted(line.part for line in lines)


def test_colours_tell_the_parts_apart():
    parts = get_scheme("ibug68_gaze", inner_lips=True).parts
    assert len({part.colour for part in parts}) == len(parts) - 1  # both nose parts are blue


def test_unknown_scheme_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'wflw98'.*'ibug68', 'ibug68_gaze'"):
        get_scheme("wflw98")


def test_drawing_on_a_client_needs_no_tensorflow(repo_root):
    program = (
        "import sys; import tf_talking.landmarks.draw; "
        "sys.exit(any(name.split('.')[0] in ('tensorflow', 'keras') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=repo_root).returncode == 0
