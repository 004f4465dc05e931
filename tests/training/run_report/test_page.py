"""The report page: what a person must find on it, whatever state the run folder is in."""

import base64
import html.parser
import json
import math
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tf_talking.config import get_preset, to_json
from tf_talking.config.overrides import apply_overrides
from tf_talking.media.photos import write_png
from tf_talking.media.video_writer import VideoWriter
from training.previews.grid import GRID_COLUMNS
from training.previews.headings import heading_height
from training.run_report import previews as report_previews
from training.run_report.charts import group_metrics, needs_log_scale, short_number
from training.run_report.data import moving_average, read_alarms, read_metrics, thin
from training.run_report.page import build_report

CELL = 32
STEPS = (10, 20, 30)


def write_lines(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


@pytest.fixture
def run(tmp_path, nano_config):
    """A run of 30 steps with two people in the previews; every grid is one grey, its step."""
    run = tmp_path / "run"
    (run / "previews").mkdir(parents=True)
    (run / "config.json").write_text(to_json(nano_config))
    (run / "run.json").write_text(json.dumps({"data_hash": "abc123", "seed": 7}))
    write_lines(
        run / "metrics.jsonl", [{"step": s, "loss/generator": 1.0 / s, "score/real": 0.5} for s in range(1, 31)]
    )
    rows = [
        {"identity": f"<person {i}>", "video_id": "v", "other_video_id": "w", "other_person": "p"} for i in range(2)
    ]
    heading = heading_height(CELL)
    layout = {"cell": CELL, "heading": heading, "columns": GRID_COLUMNS, "rows": rows}
    (run / "previews" / "layout.json").write_text(json.dumps(layout))
    for step in STEPS:
        grid = np.full((heading + 2 * CELL, 8 * CELL, 3), step, np.uint8)
        write_png(run / "previews" / f"step_{step:09d}.png", grid)
        with VideoWriter(run / "previews" / f"step_{step:09d}.mp4") as film:
            film.write(np.zeros((32, 64, 3), np.uint8))
    return run


class Page(html.parser.HTMLParser):
    """Text and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.words, self.sources, self.links = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_data(self, data):
        self.words.append(data)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.sources += [attributes["src"]] if "src" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []


def page_of(run):
    return Page(build_report(run, run / "report.html"))


def charts_of(page):
    pictures = [s for s in page.sources if s.startswith("data:image/svg")]
    return [base64.b64decode(picture.partition(",")[2]) for picture in pictures]


def test_page_holds_everything_and_needs_nothing_else(run):
    page = page_of(run)
    assert all(source.startswith("data:") for source in page.sources)
    assert page.links == ["previews/step_000000010.mp4", "previews/step_000000020.mp4"]
    for words in ("step 30", "abc123", "Preset nano", "k_shot", "<person 0>", "step 10"):
        assert words in page.text
    charts = charts_of(page)
    assert len(charts) == 2 and b"loss/generator" in charts[0]
    assert sum(source.startswith("data:video/mp4") for source in page.sources) == 1
    # Two people: a source, a truth, three landmark images, three results at three steps; one grid.
    assert sum(source.startswith("data:image/png") for source in page.sources) == 2 * 14 + 1
    assert "Missing or damaged" not in page.text


def test_strips_show_the_cells_of_their_steps(run):
    layout = report_previews.read_layout(run / "previews" / "layout.json", [])
    pictures = report_previews.by_step(run / "previews", ".png")
    text = report_previews.strips(layout, pictures, [])
    first = text.split("</tr>")[1]  # the first person, own video
    shown = [base64.b64decode(data) for data in re.findall(r"base64,([^']+)'", first)]
    values = [cv2.imdecode(np.frombuffer(d, np.uint8), 1)[0, 0, 0] for d in shown]
    assert values == [30, 30, 30, 10, 20, 30]  # source, landmarks, truth, result at each step


def test_many_previews_become_a_few_with_first_and_last(run):
    grid = (run / "previews" / "step_000000010.png").read_bytes()
    for step in range(100, 2000, 50):
        (run / "previews" / f"step_{step:09d}.png").write_bytes(grid)
    titles = re.findall(r"<th>step ([\d,]+)</th>", build_report(run, run / "report.html"))
    assert len(titles) == 2 * report_previews.MAX_STEPS
    assert (titles[0], titles[report_previews.MAX_STEPS - 1]) == ("10", "1,950")


def test_large_film_is_linked_from_where_the_page_stands(run, tmp_path, monkeypatch):
    monkeypatch.setattr(report_previews, "MAX_FILM_BYTES", 10)
    page = Page(build_report(run, tmp_path / "pages" / "report.html"))
    assert not any(source.startswith("data:video") for source in page.sources)
    assert page.links[0] == "../run/previews/step_000000030.mp4"


def test_alarms_are_listed_and_marked(run):
    assert b"#d0342c" not in charts_of(page_of(run))[0]
    alarm = {"alarm": "d_saturated", "message": "D <won>", "value": 0.0, "threshold": 0.1}
    write_lines(run / "alarms.jsonl", [{"step": s, **alarm} for s in (5, 9, 9)])
    page = page_of(run)
    assert "2 alarm(s), 2 not cleared" in page.text and "d_saturated 2× (steps 5 to 9)" in page.text
    assert "D <won>" in page.text
    assert all(b"#d0342c" in chart for chart in charts_of(page))


def test_missing_and_damaged_files_are_said_on_the_page(run):
    (run / "config.json").write_text('{"model": ')
    (run / "run.json").unlink()
    (run / "metrics.jsonl").write_text('no\n{"step": 4, "loss/a": 1.0}\n{"step": 5, "lo')
    (run / "previews" / "step_000000010.png").write_bytes(b"broken")
    write_png(run / "previews" / "step_000000020.png", np.zeros((8, 8, 3), np.uint8))
    text = page_of(run).text
    assert "Missing or damaged" in text
    for words in (
        "config.json: not JSON",
        "run.json: missing",
        "step_000000010.png: not an image",
        "previews/step_000000020.png: 8x8 pixels, expected 256x",
    ):
        assert words in text
    assert "metrics.jsonl: 1 line(s) left out, the first is line 1" in text
    assert "step 4" in text


@pytest.mark.parametrize("content", ["[]", "{}", '{"columns": [["a", "b"]]}', "\xff"])
def test_damaged_layout_shows_grids_whole(run, content):
    (run / "previews" / "layout.json").write_text(content)
    page = page_of(run)
    assert "layout.json: not the layout" in page.text
    assert sum(source.startswith("data:image/png") for source in page.sources) == 1


def test_fields_that_differ_from_the_preset_are_named(run):
    config = apply_overrides(get_preset("tiny"), ["model.attention=false", "train.k_shot=2"])
    (run / "config.json").write_text(to_json(config))
    words = "Preset tiny : model.attention = false (preset: true); train.k_shot = 2 (preset: 4)"
    assert words in page_of(run).text


def test_run_that_has_just_begun(tmp_path, nano_config):
    (tmp_path / "config.json").write_text(to_json(nano_config))
    text = page_of(tmp_path).text
    assert "No step has been logged yet" in text and "No preview has been written yet" in text


def test_what_is_no_run_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such run folder"):
        page_of(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not a run folder"):
        page_of(tmp_path)


def test_steps_that_were_undone_do_not_count(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = [{"step": s, "a": 1.0, "old": 1.0} for s in range(10, 60, 10)]
    later = [{"step": s, "a": 2.0, "new": 2.0} for s in (30, 40)]
    write_lines(path, first + later)
    log = read_metrics(path)
    assert log.steps.tolist() == [10, 20, 30, 40] and log.restarts == [30]
    assert log.values["a"].tolist() == [1, 1, 2, 2]
    np.testing.assert_array_equal(log.values["old"], [1, 1, math.nan, math.nan])
    np.testing.assert_array_equal(log.values["new"], [math.nan, math.nan, 2, 2])


def test_not_finite_values_are_counted_and_not_drawn(run):
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 31, "loss/generator": NaN, "loss/x": Infinity}\n')
    log = read_metrics(run / "metrics.jsonl")
    assert log.not_finite == {"loss/generator": 1, "loss/x": 1}
    text = page_of(run).text
    assert "No finite value: loss/x" in text
    assert "NaN or infinite: loss/generator 1×, loss/x 1×" in text
    assert "NaN or infinite values in 2 metric(s)" in text


def test_long_logs_are_thinned_and_keep_their_extremes():
    values = np.sin(np.arange(200_000) / 1000.0)
    values[123_456], values[77] = 50.0, np.nan
    curve = thin(np.arange(200_000), values, 500, 0.9)
    assert len(curve.steps) == 500 and curve.thinned
    assert curve.high.max() == 50.0 and np.isclose(curve.low.min(), -1.0)
    assert (np.diff(curve.steps) > 0).all()
    assert thin(np.arange(3), np.full(3, np.nan), 500, 0.9) is None
    few = thin(np.arange(3), np.array([1.0, 2.0, 4.0]), 500, 0.0)
    assert few.mean.tolist() == few.smooth.tolist() == [1, 2, 4] and not few.thinned


def test_moving_average_starts_at_the_first_value():
    np.testing.assert_allclose(moving_average(np.array([4.0, 4.0, 4.0]), 0.9), 4.0)
    expected = (0.5 * 1.0 + 1.0 * 3.0) / 1.5  # the older value has half the weight
    np.testing.assert_allclose(moving_average(np.array([1.0, 3.0]), 0.5), [1.0, expected])


def test_axes_and_groups():
    assert list(group_metrics(["zeta/a", "score/b", "loss/c", "plain"])) == ["loss", "score", "other", "zeta"]

    def curve(*values):
        return thin(np.arange(len(values)), np.array(values, float), 500, 0.0)

    assert needs_log_scale(curve(1, 10, 1000)) and not needs_log_scale(curve(1, 2, 3))
    assert not needs_log_scale(curve(-1, 10, 1000))
    assert [short_number(n) for n in (0, 50, 1500, 2e6)] == ["0", "50", "1.5k", "2M"]


def test_alarms_of_odd_types_do_not_stop_the_page(tmp_path):
    path = tmp_path / "alarms.jsonl"
    path.write_text('{"step": 1, "alarm": null, "value": "high"}\n{"step": "x"}\n')
    alarms, problems = read_alarms(path)
    assert [(a.step, a.name, a.value) for a in alarms] == [(1, "None", None)]
    assert "line 2" in problems[0]


def test_program(run, tmp_path):
    command = [sys.executable, "-m", "training.report"]
    done = subprocess.run([*command, str(run)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "report.html" in done.stdout, done.stderr
    assert "<h1>run</h1>" in (run / "report.html").read_text()
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "nowhere: no such run folder"),
        ([str(run), f"--output={tmp_path}/missing/x.html"], "missing does not exist"),
        ([], "expected one run folder"),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode != 0 and message in done.stderr + done.stdout


def test_cleared_alarms_and_starts(run):
    alarm = {"alarm": "output_black", "message": "black", "value": 1.0, "threshold": 0.5}
    states = [(5, "raised"), (8, "cleared"), (9, "raised")]
    write_lines(run / "alarms.jsonl", [{"step": s, "state": t, **alarm} for s, t in states])
    starts = [{"step": 0, "mixed_precision": "float32"}, {"step": 7, "mixed_precision": "bfloat16"}]
    write_lines(run / "starts.jsonl", starts)
    alarms, problems = read_alarms(run / "alarms.jsonl")
    assert [(a.step, a.until) for a in alarms] == [(5, 8), (9, None)] and not problems
    page = build_report(run, run / "report.html")
    assert "2 alarm(s), 1 not cleared" in page
    assert "<td>mixed_precision<td>float32<td>bfloat16" in page
