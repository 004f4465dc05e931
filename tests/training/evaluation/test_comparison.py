"""Evaluations side by side: hand-made folders, so that every mean and difference is known."""

import subprocess
import sys

import numpy as np
import pytest

from tf_talking.metrics.registry import Measurement
from training.evaluation.comparison import Named, build
from training.evaluation.folder import REAL, EvaluationFolder, feature_key
from training.evaluation.lines import make_row
from training.evaluation.names import FF, FT, NEAREST
from training.pages.blocks import to_markdown

VIDEOS = ("a.mp4", "b.mp4", "c.mp4")
# video → L1; the nearest frame does not depend on the model.
NEAREST_L1 = dict(zip(VIDEOS, (0.1, 0.2, 0.3), strict=True))
FIRST_L1 = dict(zip(VIDEOS, (0.2, 0.3, 0.4), strict=True))
SECOND_L1 = dict(zip(VIDEOS, (0.1, 0.1, 0.5), strict=True))


def write(path, ff, videos=VIDEOS, methods=(NEAREST, FF), metrics=("l1",), holdout=(5, 6), **facts):
    """An evaluation whose feed-forward frames have these L1, video → value."""
    facts = {
        "checkpoint": "run/ckpt-7",
        "step": 7,
        "config_hash": "abc",
        "data_hash": "d1",
        "config": {"name": "nano", "model": {"image_size": 32}, "losses": {"match": 10.0}},
        "content": {},
        "shots": [1, 8],
        "holdout_frames": 2,
        "holdout_order": "spread",
        "few_shot_from": "same",
        "methods": list(methods),
        "epochs": {},
        "precision": "float32",
        "override": [],
        "metrics": list(metrics),
        "metric_sources": {},
        "seed": 0,
    } | facts
    folder = EvaluationFolder(path)
    folder.start(facts)
    rng = np.random.default_rng(0)
    values = {NEAREST: NEAREST_L1, FF: ff, FT: ff}
    for video in videos:
        rows = [
            make_row(facts, Measurement("l1", values[m][video] / t, 2), m, t, video) for m in methods for t in (1, 8)
        ]
        used = {
            "holdout": list(holdout),
            "shots": {t: [*range(t)] for t in (1, 8)},
            "seconds": {t: {m: 10.0 * t for m in methods if m != NEAREST} for t in (1, 8)},
        }
        keys = [REAL, *(feature_key(m, t) for m in methods for t in (1, 8))]
        features = {key: rng.normal(size=(4, 3)) for key in keys} if "fid" in metrics else {}
        folder.write_video(video, rows, used, np.zeros((4, 4, 3), np.uint8), features)
    return path


def compare(output, **evaluations):
    named = [f"--evaluation={name}={path}" for name, path in evaluations.items()]
    return subprocess.run(
        [sys.executable, "-m", "training.compare_evaluations", *named, f"--output={output}"],
        capture_output=True,
        text=True,
        timeout=120,
    )


def table_rows(text, heading):
    """Rows of the first table behind a heading, as lists of cells."""
    lines = text.split(f"## {heading}\n")[1].splitlines()
    end = next((i for i, line in enumerate(lines) if line.startswith("## ")), len(lines))
    rows = [line for line in lines[:end] if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows][2:]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    methods = (NEAREST, FF, FT)
    return {"first": write(folder / "first", FIRST_L1), "second": write(folder / "second", SECOND_L1, methods=methods)}


@pytest.fixture(scope="module")
def page(pair, tmp_path_factory):
    output = tmp_path_factory.mktemp("page")
    result = compare(output, **pair)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(output / "compare.html")
    assert "<table>" in (output / "compare.html").read_text()
    return (output / "compare.md").read_text()


def test_means_of_every_evaluation(page):
    rows = {(row[0], row[1]): row[2].split()[0] for row in table_rows(page, "Means")}
    assert rows == {
        ("nearest source frame (1)", "each"): "0.2",
        ("FF (1)", "first"): "0.3",
        ("FF (1)", "second"): "0.2333",
        ("FT (1)", "second"): "0.2333",
        ("nearest source frame (8)", "each"): "0.025",
        ("FF (8)", "first"): "0.0375",
        ("FF (8)", "second"): "0.02917",
        ("FT (8)", "second"): "0.02917",
    }


def test_differences_video_by_video(page):
    """−0.1, −0.2 and +0.1: two of three are better, and the interval knows it could be nothing."""
    rows = table_rows(page, "Differences from first")
    assert [row[:2] for row in rows] == [["FF (1)", "second"], ["FF (8)", "second"]]
    mean, low, high, better = rows[0][2].replace("[", "").replace("]", "").replace(",", "").split()
    assert (float(mean), better) == (pytest.approx(-0.0667), "2/3")
    assert float(low) == pytest.approx(-0.2) and float(high) == pytest.approx(0.1)


def test_times_and_models(page):
    rows = table_rows(page, "Few-shot learning time")
    assert rows == [
        ["first, T = 1", "10", "–"],
        ["first, T = 8", "80", "–"],
        ["second, T = 1", "10", "10"],
        ["second, T = 8", "80", "80"],
    ]
    assert page.count("Model: run/ckpt-7, step 7, config nano (abc), 32 pixels") == 2


def test_only_videos_that_all_have_finished(pair, tmp_path):
    short = write(tmp_path / "short", SECOND_L1, videos=VIDEOS[:2])
    named = [Named.parse(f"{name}={path}") for name, path in (*pair.items(), ("short", short))]
    page = to_markdown(build([named[0], named[-1]]))
    rows = {(row[0], row[1]): row[2].split()[0] for row in table_rows(page, "Means")}
    assert rows["FF (1)", "first"] == "0.25" and rows["FF (1)", "short"] == "0.1"
    assert "c.mp4: not finished in short" in page


def test_fid_is_taken_from_all_features(tmp_path):
    both = [write(tmp_path / name, FIRST_L1, metrics=("fid", "l1")) for name in "ab"]
    with np.load(next((both[1] / "videos").glob("a*")) / "features.npz") as file:
        features = dict(file)
    features["ff 1"] += 3.0
    np.savez(next((both[1] / "videos").glob("a*")) / "features.npz", **features)
    page = to_markdown(build([Named.parse(f"{path.name}={path}") for path in both]))
    rows = {tuple(row[:2]): float(row[2]) for row in table_rows(page, "Means")}
    assert rows["FF (1)", "b"] > rows["FF (1)", "a"] + 1.0
    assert ("FF (8)", "each") in rows
    assert "FID" not in page.split("## Differences")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_hash": "d2"}, "data_hash is 'd2'"),
        ({"metric_sources": {"l1": "y"}}, "l1 comes from y"),
        ({"holdout": (5, 7)}, "a.mp4: other hold-out frames"),
        ({"videos": ()}, "no video that all of them have finished"),
        ({"shots": [32]}, "no T that all of them have"),
    ],
)
def test_figures_that_do_not_compare_are_refused(tmp_path, change, message):
    first = write(tmp_path / "first", FIRST_L1, metric_sources={"l1": "x"})
    second = write(tmp_path / "second", SECOND_L1, **{"metric_sources": {"l1": "x"}} | change)
    with pytest.raises(ValueError, match=message):
        build([Named.parse(f"first={first}"), Named.parse(f"second={second}")])


def test_what_is_not_an_evaluation_is_named(pair, tmp_path):
    first = Named.parse(f"first={pair['first']}")
    with pytest.raises(ValueError, match="got 1, expected at least 2"):
        build([first])
    with pytest.raises(ValueError, match="expected all different"):
        build([first, first])
    with pytest.raises(ValueError, match="got 'first', expected NAME=DIR"):
        Named.parse("first")
    missing = compare(tmp_path / "out", first=pair["first"], other=tmp_path / "nothing")
    assert missing.returncode == 2
    assert f"{tmp_path / 'nothing' / 'evaluation.json'}: missing" in missing.stderr
    assert not (tmp_path / "out").exists()
