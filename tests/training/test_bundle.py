"""training.bundle: a run in, one file out."""

import json

import tensorflow as tf

from tests.commands import run_here
from tf_talking.networks.bundle import read_bundle_facts
from training.meta.step import MetaTrainer


def test_writes_one_file_and_tells_what_is_in_it(nano_config, tmp_path):
    trainer = MetaTrainer(nano_config, 3, dict, tf.distribute.get_strategy())
    trainer.step.assign(7)
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    trainer.checkpoint.write(str(tmp_path / "run/checkpoints/ckpt-7"))
    run = {"num_videos": 3, "excluded_identities": ["9"], "content_weights": {"vgg19": "/home/me/v.npz sha256:12"}}
    (tmp_path / "run/run.json").write_text(json.dumps(run))
    prefix = tmp_path / "run/checkpoints/ckpt-7"
    done = run_here("training.bundle", "--checkpoint", prefix, "--output", tmp_path / "nano.tft")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    facts = read_bundle_facts(tmp_path / "nano.tft")
    assert told["fingerprint"] == facts["fingerprint"] and told["bytes"] == (tmp_path / "nano.tft").stat().st_size
    assert (facts["step"], facts["num_videos"], facts["excluded_identities"]) == (7, 3, ["9"])
    assert facts["content_weights"] == {"vgg19": "v.npz sha256:12"}

    done = run_here("training.bundle", "--checkpoint", prefix, "--output", tmp_path / "nano.zip")
    assert done.returncode == 2 and "expected a name that ends with .tft" in done.stderr
