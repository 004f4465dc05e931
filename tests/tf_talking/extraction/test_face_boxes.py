import numpy as np
import pytest

from tf_talking.extraction.face_boxes import WantedFrames, read_boxes

HEAD = """Identity  : \tid00017
Reference : \t7t6lfzvVaTM
Offset    : \t1
FV Conf   : \t16.647\t(1)
ASD Conf  : \t4.465

FRAME \tX \tY \tW \tH 
"""  # noqa: W291 (the published files end lines so)
RELATIVE = f"{HEAD}000245 \t0.392 \t0.223 \t0.253 \t0.451\n000246 \t0.359 \t0.207 \t0.260 \t0.463\n\n"
PIXELS = HEAD + "002316 \t223 \t80 \t130 \t130\n002317 \t-5 \t80 \t130 \t130\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "00001.txt"
        path.write_text(text)
        return path

    return write


def test_voxceleb2_boxes_are_parts_of_the_frame(write):
    track = read_boxes(write(RELATIVE))
    assert track.relative and list(track.numbers) == [245, 246]
    box = track.in_pixels(0, 1000, 500)
    np.testing.assert_allclose(box, [391.5, 111, 253, 225.5], rtol=1e-5)


def test_voxceleb1_boxes_are_pixels_at_a_height_of_360(write):
    track = read_boxes(write(PIXELS))
    assert not track.relative and list(track.numbers) == [2316, 2317]
    np.testing.assert_allclose(track.in_pixels(0, 1280, 720), [445.5, 159.5, 260, 260])


@pytest.mark.parametrize(
    "text, message",
    [
        ("000245 0.3 0.2 0.2 0.4\n", "no line 'FRAME X Y W H'"),
        (HEAD, "it lists no frame"),
        (HEAD + "000245 0.392 0.223 0.253\n", "line 8: got '000245 0.392 0.223 0.253', expected"),
        (HEAD + "000001 0 0 1 1\n000002 0 0 one 1\n", "line 9: got"),
        (HEAD + "000001 0 0 0 1\n", "line 8: .*W and H positive"),
        (HEAD + "000001 nan 0 1 1\n", "line 8"),
        (HEAD + "000005 0 0 1 1\n000005 0 0 1 1\n", "line 9: frame numbers must ascend"),
    ],
)
def test_bad_files_are_named_with_the_line(write, text, message):
    with pytest.raises(ValueError, match=f"00001.txt.*{message}"):
        read_boxes(write(text))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="none.txt: can not be read"):
        read_boxes(tmp_path / "none.txt")


def test_a_clip_starts_at_the_first_row(write):
    wanted = WantedFrames([read_boxes(write(RELATIVE))], whole_video=False)
    assert [wanted.has(n, 99.0) for n in range(4)] == [True, True, False, False]
    assert not wanted.ended(0, 0.0) and wanted.ended(1, 0.04)
    np.testing.assert_allclose(wanted.box(1, 0.04, 100, 100)[:2], [35.4, 20.2], rtol=1e-5)


def test_in_a_whole_video_the_time_counts(write, tmp_path):
    first = read_boxes(write(RELATIVE))
    second = read_boxes(write(PIXELS))
    wanted = WantedFrames([first, second], whole_video=True)
    # 245 at 25 frames/s is second 9.8; a video of 50 frames/s is at frame 490 then.
    assert wanted.has(490, 9.8) and not wanted.has(245, 4.9)
    assert not wanted.ended(490, 9.8) and wanted.ended(0, 2317 / 25)
    np.testing.assert_allclose(wanted.box(0, 2316 / 25, 640, 360), [222.5, 79.5, 130, 130])
    with pytest.raises(KeyError):
        wanted.box(0, 0.0, 640, 360)
