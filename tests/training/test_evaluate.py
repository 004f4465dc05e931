"""The evaluation program on procedural people: results, report, bad input."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.commands import run_here
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import decode_frames
from tf_talking.metrics import registry
from training.meta.step import MetaTrainer
from training.study.frames import generated_folder

FLAGS = ("--shots=1,2", "--holdout_frames=3", "--epochs=4", "--holdout_order=consecutive")


@pytest.fixture(scope="module")
def run_folder(pico_config, people, tmp_path_factory):
    """A run folder with an untrained checkpoint that kept two people out."""
    folder = tmp_path_factory.mktemp("run")
    trainer = MetaTrainer(pico_config, 3, dict, tf.distribute.get_strategy())
    for weight in trainer.ema_generator.trainable_weights:
        noise = tf.random.stateless_normal(weight.shape, seed=[1, 2])
        weight.assign_add(0.02 * noise)  # frames that depend on ψ
    (folder / "checkpoints").mkdir()
    trainer.checkpoint.write(str(folder / "checkpoints/ckpt-0"))
    names = [entry.identity for entry in DatasetFolder.open(people).accepted]
    facts = {"data_hash": "abc", "num_videos": 3, "excluded_identities": names[1:3]}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def evaluate(run_folder, people, output, *more):
    flags = [f"--checkpoint={run_folder / 'checkpoints/ckpt-0'}", f"--dataset={people}", f"--output={output}"]
    return run_here("training.evaluate", *flags, *FLAGS, *more)


@pytest.fixture(scope="module")
def evaluated(run_folder, people, tmp_path_factory):
    """(output folder, the finished program)."""
    output = tmp_path_factory.mktemp("evaluation") / "out"
    # Batches of one for every T: the step is traced once.
    result = evaluate(
        run_folder,
        people,
        output,
        "--override=finetune.batch_size=1",
        "--tune=full",
        "--tune=knee",
        "--curve_every=1",
        f"--study_frames={output.parent / 'study'}",
    )
    assert result.returncode == 0, result.stderr
    return output, result


def read(output):
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


def test_one_line_for_each_metric_method_t_and_video(evaluated, people):
    rows = read(evaluated[0])
    found = {(r["metric"], r["method"], r["shots"], r["video"]) for r in rows}
    held_out = [e.video_id for e in DatasetFolder.open(people).accepted][1:3]
    assert found == {
        (metric, method, shots, video)
        for metric in ("ssim", "l1", "face_l1", "psnr", "flicker")
        for method in ("nearest", "ff", "ft_before", "ft", "knee")
        for shots in (1, 2)
        for video in (*held_out, None)
    }
    assert len(found) == len(rows)
    for row in rows:
        assert row["n"] == (3 if row["video"] else 6)
        assert row["data_hash"] == DatasetFolder.open(people).data_hash
        assert row["epochs"] == (4 if row["method"] in ("ft", "knee") else 0)


def test_values_of_the_nearest_source_frame_are_the_metrics_own(evaluated, people):
    """Measured again from the dataset and from what frames.json says was used."""
    folder = DatasetFolder.open(people)
    rows = read(evaluated[0])
    for entry in folder.accepted[1:3]:
        record = folder.read_video(entry.video_id)
        [path] = [
            p.parent
            for p in (evaluated[0] / "videos").glob("*/frames.json")
            if json.loads(p.read_text())["video_id"] == entry.video_id
        ]
        used = json.loads((path / "frames.json").read_text())
        assert len(used["holdout"]) == 3 and len(used["shots"]["2"]) == 2
        assert not set(used["holdout"]) & {*used["shots"]["1"], *used["shots"]["2"]}
        truth = decode_frames(record, used["holdout"])
        only = decode_frames(record, used["shots"]["1"] * 3)
        for metric in ("l1", "ssim"):
            [row] = [
                r
                for r in rows
                if (r["metric"], r["method"], r["shots"], r["video"]) == (metric, "nearest", 1, entry.video_id)
            ]
            assert row["value"] == pytest.approx(registry.compute(metric, truth, only))


def test_before_fine_tuning_is_feed_forward_and_after_is_not(evaluated):
    values = {(r["method"], r["shots"], r["video"]): r["value"] for r in read(evaluated[0]) if r["metric"] == "l1"}
    for (method, shots, video), value in values.items():
        if method == "ft_before":
            assert value == pytest.approx(values["ff", shots, video], abs=1e-3)
        if method == "ft":  # the knee may be before the first epoch
            assert abs(value - values["ff", shots, video]) > 1e-5


def test_all_videos_are_the_mean_with_an_interval_around_it(evaluated):
    rows = [r for r in read(evaluated[0]) if (r["metric"], r["method"]) == ("ssim", "ft")]
    for shots in (1, 2):
        own = [r["value"] for r in rows if r["shots"] == shots and r["video"]]
        [total] = [r for r in rows if r["shots"] == shots and not r["video"]]
        assert total["value"] == pytest.approx(np.mean(own))
        assert (total["low"], total["high"]) == pytest.approx((min(own), max(own)))  # of two
        assert total["videos"] == 2


def test_reports_say_what_was_measured_on_what(evaluated):
    output, result = evaluated
    markdown, page = ((output / f"report.{end}").read_text() for end in ("md", "html"))
    for text in (markdown, page):
        assert "all evaluated identities were kept out" in text
        assert "--inception is not given" in text  # FID
        assert "--landmark_detector is not given" in text
        assert "VoxCeleb2, Ours-FT (1)" in text and "0.64" in text
        assert "FT before fine-tuning equals FF" in text
        assert "FF: this model as it is before fine-tuning; trained with L_MCH" in text
        assert "its last frame for every T" in text
        assert "Config changed for fine-tuning: finetune.batch_size=1" in text
        assert "## FT stopped at the knee" in text or "<h2>FT stopped at the knee</h2>" in text
        assert "FT stopped at the knee − FT (2)" in text
    assert page.count("data:image/jpeg;base64,") == 3
    assert "src='http" not in page and "<link" not in page
    links = [line.split("](")[1][:-1] for line in markdown.splitlines() if line.startswith("![")]
    assert len(links) == 3 and all((output / link).is_file() for link in links)
    assert result.stdout.strip() == str(output / "report.html")
    assert "2/2" in result.stderr  # the bar


def test_curves_are_of_hold_out_frames_and_of_watched_ones(evaluated):
    """FT at every epoch on hold-out frames, which its last row repeats; the knee every fourth."""
    output, _ = evaluated
    lines = {(r["method"], r["shots"], r["video"]): r["value"] for r in read(output) if r["metric"] == "l1"}
    for path in (output / "videos").glob("*/frames.json"):
        used = json.loads(path.read_text())
        for shots in (1, 2):
            stop = used["stops"][str(shots)]
            ft, knee = stop["curves"]["ft"], stop["curves"]["knee"]
            assert [row["epoch"] for row in ft] == [0, 1, 2, 3, 4]
            assert [row["epoch"] for row in knee] == [0, 4]
            assert set(ft[0]) == {"epoch", "l1", "face_l1", "ssim"}
            assert set(knee[0]) == {"epoch", "face_l1"}  # what decides
            for row, method in ((ft[0], "ff"), (ft[-1], "ft")):
                expected = lines[method, shots, used["video_id"]]
                assert row["l1"] == pytest.approx(expected, abs=1e-4)
            assert stop["best"]["knee"] == min(knee, key=lambda row: row["face_l1"])["epoch"]


def test_frames_are_there_for_a_user_study(evaluated, people):
    root = evaluated[0].parent / "study"
    for entry in DatasetFolder.open(people).accepted[1:3]:
        for method in ("FF", "FT", "KNEE"):
            for shots in (1, 2):
                folder = generated_folder(root, entry.identity, method, shots, entry.video_id)
                assert len(list(folder.glob("frame_*.png"))) == 3


def test_bad_flags_end_with_a_message(run_folder, people, tmp_path):
    result = evaluate(run_folder, people, tmp_path / "out", "--metrics=fid")
    assert result.returncode == 2
    assert "metrics: fid can not be measured without inception" in result.stderr
    assert not (tmp_path / "out").exists()
