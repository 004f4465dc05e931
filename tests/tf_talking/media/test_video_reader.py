import av
import numpy as np
import pytest

from tests.tf_talking.media.pictures import HEIGHT, WIDTH, ramp
from tf_talking.media import photos, video_reader


def test_written_video_reads_back(clip):
    frames = list(video_reader.read_frames(clip))
    assert len(frames) == 20 and frames[0].shape == (HEIGHT, WIDTH, 3)
    for k in (0, 19):
        assert frames[k].dtype == np.uint8
        assert np.abs(frames[k].astype(int) - ramp(k)).mean() < 4
    assert video_reader.probe(clip) == video_reader.VideoInfo(WIDTH, HEIGHT, 25.0, 20, False)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize(
    "content, message", [(b"", "empty file"), (b"just some text\n" * 50, "not a video"), (None, "no such file")]
)
def test_unreadable_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.mp4: {message}"):
        list(video_reader.read_frames(path))
    with pytest.raises(ValueError, match=f"bad.mp4: {message}"):
        video_reader.probe(path)


def test_truncated_and_soundless_files_are_named(clip, tmp_path):
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="clip.mp4: .*corrupt"):
        list(video_reader.read_frames(clip))
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="sound.mp4: holds no video"):
        list(video_reader.read_frames(tmp_path / "sound.mp4"))


def test_decompression_bomb_is_refused(clip, monkeypatch):
    monkeypatch.setattr(video_reader.photos, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(ValueError, match="clip.mp4: 96x64 pixels, more than"):
        list(video_reader.read_frames(clip))


def test_folder_of_frames_is_read_in_natural_order(tmp_path):
    import cv2

    for k in (0, 9, 10):
        cv2.imwrite(str(tmp_path / f"frame{k}.png"), ramp(k)[..., ::-1])
    frames = list(video_reader.read_frames(tmp_path))
    for k, frame in zip((0, 9, 10), frames, strict=True):
        np.testing.assert_array_equal(frame, ramp(k))
    assert video_reader.probe(tmp_path) == video_reader.VideoInfo(WIDTH, HEIGHT, 25.0, 3, False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: a folder without images"):
        list(video_reader.read_frames(tmp_path / "empty"))


def test_pictures_are_timed_and_can_be_chosen(clip, tmp_path):
    chosen = list(video_reader.read_pictures(clip, lambda number, seconds: number % 5 == 2))
    assert [picture.number for picture in chosen] == [2, 7, 12, 17]
    assert [picture.seconds for picture in chosen] == pytest.approx([0.08, 0.28, 0.48, 0.68])
    assert np.abs(chosen[1].pixels.astype(int) - ramp(7)).mean() < 4
    for k in range(3):
        photos.write_png(tmp_path / f"{k}.png", ramp(k))
    late = video_reader.read_pictures(tmp_path, lambda number, seconds: seconds > 0.03)
    assert [(picture.number, picture.seconds) for picture in late] == [(1, 0.04), (2, 0.08)]


def test_a_photo_that_can_not_be_read_is_passed_over_in_a_folder_of_frames(tmp_path):
    for k in range(4):
        photos.write_png(tmp_path / f"{k}.png", ramp(k))
    (tmp_path / "2.png").write_text("no picture")
    said = []
    read = list(video_reader.read_pictures(tmp_path, on_damage=lambda *what: said.append(what)))
    assert [(picture.number, picture.seconds) for picture in read] == [(0, 0.0), (1, 0.04), (3, 0.12)]
    ((reason, count),) = said
    assert "2.png: not an image" in reason and count == 1
    for k in range(4):
        (tmp_path / f"{k}.png").write_text("no picture")
    with pytest.raises(ValueError, match="0.png: not an image"):
        list(video_reader.read_pictures(tmp_path))


def test_suffixes_of_cameras_recorders_and_browsers_are_videos():
    for name in ("00000.MTS", "00001.m2ts", "VTS_01.VOB", "c.ogv", "a.MP4", "b.webm"):
        assert video_reader.is_video(name)
