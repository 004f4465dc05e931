"""Whom a model saw, through runs that begin with others and through bundles."""

import json

import pytest
import tensorflow as tf

from tests.commands import run_here
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.networks.bundle import write_bundle
from tf_talking.networks.meta_checkpoint import load_meta_learned
from training.meta.job import record_people
from training.meta.start_from import StartFrom
from training.meta.step import MetaTrainer
from training.runs.folder import RunFolder
from training.runs.seen_people import (
    SeenPeople,
    read_people_file,
    read_seen_people,
    read_training_facts,
    write_people_file,
)


def test_kept_out_is_known_or_not():
    seen = SeenPeople(frozenset({"ann", "bob"}), complete=True)
    assert seen.kept_out(["cid"]) is True and seen.kept_out(["cid", "ann"]) is False
    # Whoever else was seen is not known.
    partly = seen | SeenPeople(frozenset({"dee"}))
    assert partly.kept_out(["cid"]) is None and partly.kept_out(["dee"]) is False
    assert (seen | SeenPeople(frozenset({"dee"}), complete=True)).kept_out(["cid"]) is True


def test_a_run_folder_and_a_bundle_tell(nano_config, tmp_path):
    trainer = MetaTrainer(nano_config, 3, dict, tf.distribute.get_strategy())
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    prefix = trainer.checkpoint.write(str(tmp_path / "run/checkpoints/ckpt-0"))
    assert read_seen_people(prefix) == SeenPeople()
    people = SeenPeople(frozenset({"ann", "bob"}), complete=True)
    write_people_file(tmp_path / "run", people)
    (tmp_path / "run/run.json").write_text(json.dumps({"excluded_identities": ["cid"]}))
    assert read_people_file(tmp_path / "run") == read_seen_people(prefix) == people
    bundle = tmp_path / "a.tft"
    done = run_here("training.bundle", "--checkpoint", prefix, "--output", bundle)
    assert done.returncode == 0, done.stderr
    assert read_seen_people(str(bundle)) == people
    assert read_training_facts(str(bundle))["excluded_identities"] == ["cid"]
    assert "ann" not in done.stdout and "cid" not in done.stdout
    # A bundle from before tells of nobody.
    write_bundle(tmp_path / "b.tft", load_meta_learned(prefix, with_discriminator=True))
    assert read_seen_people(str(tmp_path / "b.tft")) == SeenPeople()


@pytest.mark.parametrize("known", [True, False])
def test_a_run_carries_on_whom_the_one_before_saw(pico_config, people, tmp_path, known):
    """Begun from it, and gone on with when it may be gone. The program: `test_start_from.py`."""
    trainer = MetaTrainer(pico_config, 3, dict, tf.distribute.get_strategy())
    (tmp_path / "old/checkpoints").mkdir(parents=True)
    trainer.checkpoint.write(str(tmp_path / "old/checkpoints/ckpt-0"))
    if known:
        write_people_file(tmp_path / "old", SeenPeople(frozenset({"ann"}), complete=True))
    episodes, folder = EpisodeDataset(people, k_shot=2, batch_size=2, seed=0), RunFolder(tmp_path / "new")
    begin = StartFrom.find(tmp_path / "old", pico_config, {})
    folder.start(pico_config, {"start_from": begin.facts})
    for start in (begin, None):
        record_people(folder, episodes, start)
        seen = read_people_file(tmp_path / "new")
        assert seen.complete == known and ("ann" in seen.names) == known and len(seen.names) == 5 + known
