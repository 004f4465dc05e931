"""Photos driven by other people's videos: resuming, ranking, the program on a real photo."""

import dataclasses
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tests.commands import run_here
from tests.faces import portrait
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.writer import DatasetWriter
from training.evaluation.cross import CrossReenactment, Driver
from training.evaluation.folder import EvaluationFolder
from training.evaluation.methods import Learning, Methods
from training.evaluation.names import FF
from training.evaluation.puppeteering import Puppeteering
from training.meta.step import MetaTrainer
from training.person.frames import PersonFrames


def read_rows(output):
    return [json.loads(line) for line in (output / "cross.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def drivers(people):
    folder = DatasetFolder.open(people)
    return [Driver.read(folder, entry, np.arange(2)) for entry in folder.accepted[:3]]


@pytest.fixture(scope="module")
def methods(learned):
    return Methods(learned, Learning(tuned=()))


@pytest.fixture
def make(learned, methods, drivers, evaluation_facts, mean_colour):
    """path -> puppeteering that writes there."""

    def puppeteering(path):
        facts = {
            **evaluation_facts,
            **methods.facts(),
            "metric_sources": {"csim": "colours"},
            "cross": {"drivers": [d.video_id for d in drivers], "frames": 2},
        }
        output = EvaluationFolder(path)
        output.start(facts)
        cross = CrossReenactment(learned.config, mean_colour, drivers)
        return Puppeteering(methods, cross, facts, output)

    return puppeteering


def test_each_photo_is_driven_by_all_and_a_killed_job_goes_on(make, methods, mean_colour, drivers, people, tmp_path):
    folder = DatasetFolder.open(people)
    faces = {f"p{i}.jpg": Driver.read(folder, entry, np.arange(1)) for i, entry in enumerate(folder.accepted[3:5])}
    photos = [tmp_path / name for name in ("p0.jpg", "wall.jpg", "p1.jpg")]
    asked = []

    def find(path):
        asked.append(path.name)
        if path.name not in faces:
            raise ValueError("no face")
        return PersonFrames(faces[path.name].frames, faces[path.name].landmarks, path.name)

    job = make(tmp_path / "out")
    job.run(photos[:2], find)
    (job.output.videos / "half.tmp").mkdir()
    again = make(tmp_path / "out")
    left_out = again.run(photos, find)
    assert asked == ["p0.jpg", "wall.jpg", "wall.jpg", "p1.jpg"]
    assert left_out == {"wall.jpg": "no face"}
    page = again.write_report(photos, left_out)
    assert page == tmp_path / "out" / "report.html" and page.is_file()
    text = (tmp_path / "out" / "report.md").read_text()
    assert "wall.jpg: no face" in text and "CSIM: colours" in text
    rows = read_rows(tmp_path / "out")
    assert [(r["video"], r["driver"]) for r in rows] == [
        (name, driver.video_id) for name in faces for driver in drivers
    ]
    # By hand: one photo, each driver's frames drawn alone.
    for row in rows:
        face = faces[row["video"]]
        driver = next(d for d in drivers if d.video_id == row["driver"])
        person = PersonFrames(face.frames, face.landmarks, "photo")
        generated = mean_colour(methods.draw(person, driver.landmarks)[FF], driver.landmarks)
        source = mean_colour(face.frames, face.landmarks)[0]
        cosines = generated @ source / np.linalg.norm(source)
        cosines /= np.linalg.norm(generated, axis=1)
        assert row["value"] == pytest.approx(cosines.mean(), abs=1e-3)
        assert (row["method"], row["shots"], row["n"]) == (FF, 1, 2)


def test_no_photo_that_can_be_used(make, tmp_path):
    job = make(tmp_path / "out")

    def find(path):
        raise ValueError("several faces (2)")

    left_out = job.run([tmp_path / "crowd.jpg"], find)
    with pytest.raises(ValueError, match=r"none of 1 photos.*crowd.jpg.*several faces \(2\)"):
        job.write_report([tmp_path / "crowd.jpg"], left_out)


@pytest.fixture(scope="module")
def checkpoint(pico_config, tmp_path_factory):
    """An untrained checkpoint for mediapipe's landmarks."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    landmarks = dataclasses.replace(pico_config.landmarks, detector="mediapipe")
    config = dataclasses.replace(pico_config, landmarks=landmarks)
    trainer = MetaTrainer(config, 3, dict, tf.distribute.get_strategy())
    return trainer.checkpoint.write(str(folder / "ckpt-0"))


@pytest.fixture(scope="module")
def driving(people, tmp_path_factory):
    """The procedural people as a dataset folder of mediapipe's."""
    folder, path = DatasetFolder.open(people), tmp_path_factory.mktemp("driving") / "data"
    info = dataclasses.asdict(folder.info) | {"detector": "mediapipe"}
    del info["format_version"]
    records = [folder.read_video(entry.video_id) for entry in folder.accepted]
    writer = DatasetWriter(path, **info)
    writer.write_shard([dataclasses.replace(r, detector="mediapipe") for r in records])
    return path


def puppeteer(checkpoint, driving, photos, output, *more):
    flags = [f"--checkpoint={checkpoint}", f"--dataset={driving}", f"--photos={photos}", f"--output={output}"]
    return run_here("training.puppeteer", *flags, "--frames=2", "--recogniser=sface", *more)


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photos").mkdir()
    PIL.Image.fromarray(portrait()).save(tmp_path / "photos/p001.jpg")
    return tmp_path / "photos/p001.jpg"


def test_a_real_photo_is_fine_tuned_and_driven(checkpoint, driving, photo, tmp_path):
    (photo.parent / "broken.png").write_bytes(b"no picture")
    flags = ("--epochs=2", "--identities=procedural_000001", "--video_ids=procedural_000003_000")
    result = puppeteer(checkpoint, driving, photo.parent, tmp_path / "out", *flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "out" / "report.html")
    rows = read_rows(tmp_path / "out")
    assert {(r["video"], r["method"]) for r in rows} == {("p001.jpg", "ff"), ("p001.jpg", "ft")}
    assert {r["driver_identity"] for r in rows} == {"procedural_000001", "procedural_000003"}
    assert all(-1.0 <= r["value"] <= 1.0 for r in rows)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "broken.png" in text and "sface" in text


def test_bad_flags_end_with_a_message(checkpoint, driving, photo, tmp_path):
    (tmp_path / "empty").mkdir()
    for photos, more, message in (
        (tmp_path / "nothing", (), "--photos: "),
        (tmp_path / "empty", (), "no photos here"),
        (photo, ("--identities=nobody",), "identities: 'nobody' is not in"),
    ):
        result = puppeteer(checkpoint, driving, photos, tmp_path / "out", *more)
        assert result.returncode == 2 and message in result.stderr, result.stderr
        assert not (tmp_path / "out").exists()
