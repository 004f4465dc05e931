"""Preview grid, its layout file and the film: what stands where, and that it appears whole."""

import json

import numpy as np
import pytest

from tf_talking import files
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media.photos import read_photo
from tf_talking.media.video_reader import probe, read_frames
from tf_talking.procedural.folder import list_jobs, make_dataset, open_writer
from training.previews.film import FILM_COLUMNS, to_and_fro, write_film, write_previews
from training.previews.grid import GRID_COLUMNS, choose_rows, draw_grid
from training.previews.headings import draw_headings, heading_height
from training.runs.folder import RunFolder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, nano_config):
    folder, size = tmp_path_factory.mktemp("data") / "people", nano_config.model.image_size
    make_dataset(open_writer(folder, size), list_jobs(range(3), 2, 12, size, seed=0), workers=1)
    return DatasetFolder.open(folder)


@pytest.fixture(scope="module")
def rows(dataset):
    return choose_rows(dataset, dataset.accepted, k_shot=2, count=2)


def embed(frames, landmarks):
    """Stands for the model: ψ̂ is the mean colour of the source frames."""
    return frames.mean(axis=(1, 2, 3))


def make_generate(size):
    def generate(landmarks, adain_params):
        colour = adain_params.round().astype(np.uint8)[:, np.newaxis, np.newaxis, :]
        return np.broadcast_to(colour, (len(landmarks), size, size, 3))

    return generate


def test_rows_are_the_same_each_time_and_truth_is_no_source(dataset, rows):
    again = choose_rows(dataset, dataset.accepted, k_shot=2, count=2)
    assert [r.video_id for r in rows] == [r.video_id for r in again]
    for row, twin in zip(rows, again, strict=True):
        np.testing.assert_array_equal(row.own_track, twin.own_track)
        assert row.other_video_id != row.video_id and row.other_person != row.identity
        record = dataset.read_video(row.video_id)
        assert row.own_jpegs == record.frames[6:]
        np.testing.assert_array_equal(row.source_landmarks, record.landmarks[[0, 5]])
    short = choose_rows(dataset, dataset.accepted, k_shot=2, count=1, track_frames=4)
    np.testing.assert_array_equal(short[0].own_track, rows[0].own_track[-4:])


def test_no_entries_is_an_error(dataset):
    with pytest.raises(ValueError, match="no video to draw previews of"):
        choose_rows(dataset, [], k_shot=2, count=4)


def test_grid_cells_stand_under_their_headings(rows, nano_config):
    size = nano_config.model.image_size
    grid = draw_grid(rows, nano_config, embed, make_generate(size))
    heading = heading_height(size)
    assert grid.shape == (heading + 2 * size, 8 * size, 3)
    np.testing.assert_array_equal(grid[:heading], draw_headings(GRID_COLUMNS, size))
    for index, row in enumerate(rows):
        line = grid[heading + index * size : heading + (index + 1) * size]
        cells = dict(zip(GRID_COLUMNS, np.split(line, 8, axis=1), strict=True))
        np.testing.assert_array_equal(cells["source", "frame"], row.source_frames[0])
        for group, landmarks in (
            ("own video", row.own_track[-1]),
            ("another video", row.other_video_landmarks),
            ("another person", row.other_person_track[-1]),
        ):
            drawn = landmark_picture(nano_config.landmarks, landmarks, size)
            np.testing.assert_array_equal(cells[group, "landmarks"], drawn)
            colour = row.source_frames.mean(axis=(0, 1, 2)).round()
            np.testing.assert_array_equal(cells[group, "result"][3, 5], colour)


@pytest.mark.parametrize("cell", [32, 64, 256])
def test_headings_are_ink_inside_every_column(cell):
    strip = draw_headings(GRID_COLUMNS, cell)
    assert strip.shape == (heading_height(cell), 8 * cell, 3) and len(strip) % 2 == 0
    names = strip[len(strip) // 2 :]
    for column in np.split(names, 8, axis=1):
        assert column.min() < 128
        assert column[:, -1].min() > 128  # nothing runs into the next column


def test_previews_are_written_whole_and_described(tmp_path, rows, nano_config):
    size = nano_config.model.image_size
    grid = write_previews(tmp_path, 1000, rows, nano_config, embed, make_generate(size))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["layout.json", "step_000001000.mp4", "step_000001000.png"]
    np.testing.assert_array_equal(read_photo(tmp_path / "step_000001000.png"), grid)
    layout = json.loads((tmp_path / "layout.json").read_text())
    assert layout["cell"] == size and layout["heading"] + 2 * size == len(grid)
    assert [tuple(column) for column in layout["columns"]] == list(GRID_COLUMNS)
    assert [row["identity"] for row in layout["rows"]] == [row.identity for row in rows]
    info = probe(tmp_path / "step_000001000.mp4")
    assert (info.width, info.height, info.fps) == (len(FILM_COLUMNS) * size, len(grid), 25.0)


def test_film_shows_the_track_moment_by_moment(tmp_path, rows, nano_config):
    size, seen = nano_config.model.image_size, []

    def generate(landmarks, adain_params):
        seen.append(landmarks)
        return make_generate(size)(landmarks, adain_params)

    write_film(tmp_path / "film.mp4", rows, nano_config, embed, generate)
    assert len(list(read_frames(tmp_path / "film.mp4"))) == len(seen) == 50
    for moment in (0, 3, 5, 6, 49):
        index = to_and_fro(moment, 6)
        expected = [r.own_track[index] for r in rows] + [r.other_person_track[index] for r in rows]
        np.testing.assert_array_equal(seen[moment], expected)


def test_film_that_fails_leaves_nothing_and_keeps_the_old_one(tmp_path, rows, nano_config):
    (tmp_path / "film.mp4").write_bytes(b"old")
    calls = []

    def generate(landmarks, adain_params):
        calls.append(1)
        if len(calls) == 10:
            raise RuntimeError("out of memory")
        return make_generate(nano_config.model.image_size)(landmarks, adain_params)

    with pytest.raises(RuntimeError):
        write_film(tmp_path / "film.mp4", rows, nano_config, embed, generate)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert (tmp_path / "film.mp4").read_bytes() == b"old"


def test_to_and_fro():
    assert [to_and_fro(i, 3) for i in range(7)] == [0, 1, 2, 1, 0, 1, 2]
    assert [to_and_fro(i, 2) for i in range(4)] == [0, 1, 0, 1]
    assert [to_and_fro(i, 1) for i in range(3)] == [0, 0, 0]


def test_continuing_removes_what_a_killed_run_was_writing(tmp_path, nano_config):
    folder = RunFolder(tmp_path / "run")
    folder.start(nano_config, {})
    files.temporary_beside(folder.previews / "step_000000010.mp4").write_bytes(b"half")
    (folder.previews / "step_000000005.png").write_bytes(b"whole")
    folder.start(nano_config, {})
    assert [path.name for path in folder.previews.iterdir()] == ["step_000000005.png"]
