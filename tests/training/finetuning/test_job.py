"""What a job refuses, and how it goes on after one of an older version."""

import pytest

from training.finetuning.job import FinetuneJob, log_file


@pytest.mark.parametrize("name", ["recogniser", "landmark_detector"])
def test_what_only_the_knee_reads_is_refused_without_it(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: is used with stop_at_knee only"):
        FinetuneJob("ann", "serving", tmp_path, **{name: "mediapipe"})


def test_log_under_the_names_of_before_is_put_aside(tmp_path):
    path = tmp_path / "log.csv"
    assert log_file(tmp_path) == path and not list(tmp_path.iterdir())
    path.write_text("epoch,error/l1,loss/generator\n0,0.1,2.0\n")
    assert log_file(tmp_path) == path and path.is_file()
    path.write_text("epoch,generator_loss,l1\n0,2.0,0.1\n")
    assert log_file(tmp_path) == path and not path.exists()
    assert (tmp_path / "log_before.csv").read_text().startswith("epoch,generator_loss")
