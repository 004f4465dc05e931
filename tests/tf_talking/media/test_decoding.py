import threading

import av
import numpy as np
import pytest

from tests.awkward_videos import at_25, break_off, damage_picture, write_video
from tests.tf_talking.media.pictures import ramp
from tf_talking.media import decoding, stand_still, video_reader

IRREGULAR = [0.0, 0.04, 0.08, 0.2, 0.36, 0.4, 1.1, 1.14]


def read(path, **options):
    """The pictures, and what is said of damage."""
    said = []
    pictures = list(video_reader.read_pictures(path, on_damage=lambda *what: said.append(what), **options))
    return pictures, said


@pytest.mark.parametrize("name", ["phone.mp4", "browser.webm", "screen.mkv", "recorder.ts"])
@pytest.mark.parametrize("start", [0.0, 7.5])
def test_pictures_come_with_their_own_times_from_the_first_on(tmp_path, name, start):
    codec = {"codec": "libvpx"} if name.endswith("webm") else {}
    path = write_video(tmp_path / name, [start + seconds for seconds in IRREGULAR], **codec)
    pictures, said = read(path)
    assert [picture.seconds for picture in pictures] == pytest.approx(IRREGULAR, abs=0.002)
    assert [picture.number for picture in pictures] == list(range(8)) and said == []
    number = [round(picture.pixels[..., 2].mean() / 10) for picture in pictures]
    assert number == list(range(8))
    chosen, _ = read(path, chosen=lambda number, seconds: 0.15 < seconds < 1)
    assert [picture.number for picture in chosen] == [3, 4, 5]


def test_avi_which_has_no_times_of_its_own(tmp_path):
    path = write_video(tmp_path / "x.avi", at_25(30))
    pictures, _ = read(path)
    assert [picture.seconds for picture in pictures] == pytest.approx(at_25(30), abs=0.001)


def test_joined_recordings_go_on(tmp_path):
    parts = [write_video(tmp_path / f"{k}.ts", at_25(20)).read_bytes() for k in range(2)]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    pictures, said = read(tmp_path / "joined.ts")
    assert [picture.seconds for picture in pictures] == pytest.approx(at_25(40), abs=0.002)
    assert said == []


@pytest.mark.parametrize("strict", [False, True])
def test_what_stands_before_a_break_is_read_and_the_break_is_said(tmp_path, strict):
    path = write_video(tmp_path / "x.mp4", at_25(50), container_options={"movflags": "faststart"})
    break_off(path, 0.7)
    pictures, said = read(path, strict=strict)
    assert 20 < len(pictures) < 45
    assert [round(picture.pixels[..., 2].mean() / 10) for picture in pictures[:20]] == list(range(20))
    (reason, count), *_ = said[::-1]
    assert reason.startswith(f"broke off after {len(pictures)} frames: ") and count == 1


def test_one_bad_picture_is_passed_over(tmp_path):
    noise = np.random.default_rng(0).integers(0, 99, (64, 96, 3)).astype(np.uint8)
    options = {"g": "10", "x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=0"}
    path = write_video(tmp_path / "x.mp4", at_25(40), lambda k: ramp(k) // 2 + noise, options=options)
    damage_picture(path, 14)
    pictures, said = read(path, strict=True)
    # From the damaged one to the next that stands on its own.
    assert sorted(set(range(40)) - {round(p.seconds * 25) for p in pictures}) == list(range(14, 20))
    assert [picture.number for picture in pictures] == [round(p.seconds * 25) for p in pictures]
    ((reason, count),) = said
    assert reason == "damaged data" and count >= 1
    pictures, said = read(path)
    assert len(pictures) >= 39 and [reason for reason, _ in said] == ["damaged data"]


def test_where_nothing_can_be_read_it_is_an_error(tmp_path):
    path = write_video(tmp_path / "x.mp4", at_25(5))
    for number in range(5):
        damage_picture(path, number)
    with pytest.raises(ValueError, match="x.mp4: corrupt video: "):
        read(path, strict=True)


def test_a_decoder_that_stands_still_is_a_break(tmp_path, monkeypatch):
    path = write_video(tmp_path / "x.mp4", at_25(5))
    decode = decoding.decode

    def stuck(*arguments):
        yield from list(decode(*arguments))[:-1]
        threading.Event().wait(20)

    monkeypatch.setattr(stand_still, "MOST_SECONDS", 2.0)
    monkeypatch.setattr(decoding, "decode", stuck)
    pictures, said = read(path)
    assert len(pictures) >= 3
    assert said == [(f"broke off after {len(pictures)} frames: decoding stands still: nothing came for 2 s", 1)]


def test_slices_of_a_picture_are_not_decoded_at_once(tmp_path):
    with decoding.open_video(write_video(tmp_path / "x.mp4", at_25(5))) as container:
        next(decoding.decode(container, 0, False, decoding.Damage()))
        assert container.streams.video[0].thread_type == av.codec.context.ThreadType.FRAME
    assert decoding.start_of_pictures(write_video(tmp_path / "late.mp4", at_25(5, 0.72))) == pytest.approx(0.72)


def test_a_cover_picture_is_not_the_video(tmp_path):
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        cover, video = container.add_stream("mjpeg", rate=25), container.add_stream("libx264", rate=25)
        cover.pix_fmt, video.pix_fmt = "yuvj420p", "yuv420p"
        for stream, size in ((cover, (320, 180)), (video, (96, 64))):
            stream.width, stream.height = size
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((180, 320, 3), np.uint8), "rgb24")))
        for k in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(ramp(k), "rgb24")))
        container.mux([*cover.encode(), *video.encode()])
    pictures, _ = read(path)
    assert len(pictures) == 20 and {picture.pixels.shape for picture in pictures} == {(64, 96, 3)}
    info = video_reader.probe(path)
    assert (info.width, info.height) == (96, 64)
