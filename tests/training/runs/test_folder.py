"""Run folders: started once, continued only as the same run."""

import dataclasses
import json

import pytest

from tf_talking.config import from_json
from tf_talking.config.overrides import apply_overrides
from training.runs.folder import RunFolder


def test_start_then_continue(tmp_path, nano_config):
    folder = RunFolder(tmp_path / "run")
    assert folder.start(nano_config, {"seed": 1}) is False
    assert folder.start(nano_config, {"seed": 1}) is True
    assert from_json((folder.path / "config.json").read_text()) == nano_config
    assert json.loads((folder.path / "run.json").read_text()) == {"seed": 1}


def test_other_config_or_data_is_refused(tmp_path, nano_config):
    folder = RunFolder(tmp_path / "run")
    folder.start(nano_config, {"data_hash": "a"})
    other = dataclasses.replace(nano_config, losses=dataclasses.replace(nano_config.losses, match=1.0))
    with pytest.raises(ValueError, match=r"losses.match is 10.0, asked for is 1.0"):
        folder.start(other, {"data_hash": "a"})
    with pytest.raises(ValueError, match="data_hash is 'a', asked for is 'b'"):
        folder.start(nano_config, {"data_hash": "b"})


def test_overrides(nano_config):
    changed = apply_overrides(nano_config, ["train.k_shot=5", "losses.vgg_pooling=average", "model.attention=false"])
    assert (changed.train.k_shot, changed.losses.vgg_pooling) == (5, "average")
    assert changed.model.attention is False
    for wrong in ("train.k_shot", "nothing.k_shot=1", "train.k=1", "train.k_shot=many"):
        with pytest.raises(ValueError, match=wrong.split("=")[0].split(".")[-1]):
            apply_overrides(nano_config, [wrong])


def test_run_from_before_a_field_existed_goes_on(tmp_path, nano_config):
    folder = RunFolder(tmp_path / "run")
    folder.start(nano_config, {"seed": 1})
    path = folder.path / "config.json"
    values = json.loads(path.read_text())
    del values["finetune"]["w_init"]
    path.write_text(json.dumps(values))
    assert folder.start(nano_config, {"seed": 1}) is True
