"""The command `training.check_identities`."""

import numpy as np
import pytest

from tests.commands import run_here
from tests.tf_talking.dataset.made import INFO, make_record
from tests.tf_talking.dataset.test_identities import AXES, at
from tf_talking.dataset.writer import DatasetWriter


@pytest.fixture
def folders(tmp_path):
    """Two datasets; "new" has somebody of "old" under another name, and one who mixes people."""
    made = {"old": {"ann": AXES[:1], "bob": AXES[3:4]}, "new": {"007": at(0.9)[None], "mix": AXES[5:7]}}
    for name, people in made.items():
        records = [
            make_record(f"{name}/{who}", len(vectors), identity=who, kind="photos", identity_vectors=np.array(vectors))
            for who, vectors in people.items()
        ]
        DatasetWriter(tmp_path / name, **INFO, borrowed_identity="sface").write_shard(records)
    return [f"--dataset={tmp_path / name}" for name in made]


def test_prints_what_it_finds_and_writes_the_flag_of_meta_train(folders, tmp_path):
    out = tmp_path / "out.flags"
    done = run_here("training.check_identities", *folders, "--keep_out=ann", f"--output={out}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == ["one", "person", "ann", "007", "0.900"]
    assert done.stdout.splitlines()[-1] == (
        "4 identities; 1 pairs look like one person, 1 mix people; 3 to leave out, 1 of them asked for"
    )
    assert out.read_text() == "--exclude_identities=ann,007,mix\n"


def test_who_is_not_there_is_named(folders):
    done = run_here("training.check_identities", *folders, "--keep_out=zoe")
    assert done.returncode == 2 and "keep_out: nobody is called 'zoe'" in done.stderr
