"""One recogniser, one task."""

import json
import types

import pytest

from tf_talking.content import sface
from tf_talking.content.weights import describe
from training.runs.recognisers import check_metric, check_metric_of


@pytest.fixture
def files(tmp_path):
    paths = {name: tmp_path / f"{name}.keras" for name in ("loss", "metric")}
    for name, path in paths.items():
        path.write_text(name)
    return paths


def test_who_lent_does_not_measure(tmp_path):
    check_metric("sface", "none", [])
    with pytest.raises(ValueError, match="sface lends the model its identity.*give another one"):
        check_metric("sface", "sface", [])
    copy = tmp_path / "renamed.onnx"
    copy.write_bytes(sface.FILE.read_bytes())
    with pytest.raises(ValueError, match="renamed.onnx lends the model its identity"):
        check_metric(copy, "sface", [])


def test_who_taught_does_not_measure_whatever_the_file_is_called(files, tmp_path):
    losses = ["/somewhere/vgg.npz sha256:0123456789ab", f"/elsewhere/{describe(files['loss']).rsplit('/', 1)[-1]}"]
    check_metric(files["metric"], "sface", losses)
    copy = tmp_path / "copy.keras"
    copy.write_bytes(files["loss"].read_bytes())
    for path in (files["loss"], copy):
        with pytest.raises(ValueError, match=f"{path.name} is the face network of the loss"):
            check_metric(path, "none", losses)
    check_metric(None, "sface", losses)
    check_metric("buffalo_l", "sface", losses)


def test_a_run_tells_what_taught_it_and_fine_tuning_what_will(files, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"content_weights": {"identity": describe(files["loss"])}}))
    model = types.SimpleNamespace(borrowed_identity="none")
    learned = types.SimpleNamespace(
        checkpoint=str(run / "checkpoints/ckpt-1"), config=types.SimpleNamespace(model=model)
    )
    check_metric_of(files["metric"], learned, "auto")
    with pytest.raises(ValueError, match="loss.keras is the face network of the loss"):
        check_metric_of(files["loss"], learned, "auto")
    with pytest.raises(ValueError, match="metric.keras is the face network of the loss"):
        check_metric_of(files["metric"], learned, str(files["metric"]))
