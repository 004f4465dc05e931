"""A run folder: config, what it was trained on, checkpoints, previews, logs.

    run/config.json        the resolved config
    run/run.json           data hash, number of videos, weight files used, seed
    run/people.json        whom it was trained on (`seen_people`)
    run/starts.jsonl       one line a start: options, devices, versions, the step it began at
    run/metrics.jsonl      one line a logged step
    run/alarms.jsonl       one line an alarm; missing where there was none
    run/tensorboard/       the same, and previews
    run/previews/          step_000001000.png, step_000001000.mp4, layout.json
    run/report.html        curves and previews as one page (`python -m training.report RUN`)
    run/checkpoints/       ckpt-1000.*; the newest few are kept

A checkpoint carries its config too, so that a copied checkpoint can not be read with another.
"""

import json
import os
import pathlib

from tf_talking import files
from tf_talking.config import Config, from_json, to_json


def read_run_facts(checkpoint: str) -> dict:
    """run.json beside RUN/checkpoints/ckpt-N; empty where the checkpoint has no run folder."""
    path = pathlib.Path(checkpoint).parent.parent / "run.json"
    return json.loads(path.read_text()) if path.is_file() else {}


class RunFolder:
    """Paths of one run, and reading and checking its two JSON files.

    Args:
      path: the folder; created by `start`.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.previews = self.path / "previews"
        self.tensorboard = self.path / "tensorboard"
        self.metrics = self.path / "metrics.jsonl"
        self.alarms = self.path / "alarms.jsonl"

    @property
    def facts(self) -> dict:
        """run.json. Raises ValueError where it is missing."""
        return self._read("run.json")

    def start(self, config: Config, facts: dict, write: bool = True) -> bool:
        """Creates the folder, or checks that it belongs to the same run.

        Args:
          config: the resolved config.
          facts: what else a resumed run must agree on (data hash, number of videos, seed...).
          write: False only checks: a worker that is not the chief.

        Returns:
          Whether the folder existed, that is, whether this is a resumed run.

        Raises:
          ValueError: the folder was made with another config or other data; names the field.
        """
        if (self.path / "config.json").exists():
            path = self.path / "config.json"
            # Through the config, so that fields which came later have their defaults.
            before = from_json(path.read_text(), str(path))
            files.check_same(json.loads(to_json(before)), json.loads(to_json(config)), path)
            files.check_same(self.facts, facts, self.path / "run.json")
            if write:
                files.remove_unfinished(self.previews)
            return True
        if not write:
            return False
        self.previews.mkdir(parents=True, exist_ok=True)
        files.write_whole(self.path / "run.json", json.dumps(facts, indent=2) + "\n")
        # Last: a folder with a config.json is a complete start.
        files.write_whole(self.path / "config.json", to_json(config))
        return False

    def record_start(self, facts: dict) -> None:
        """Appends a line to starts.jsonl: what may differ from start to start of one run."""
        files.append_json_line(self.path / "starts.jsonl", facts)

    def _read(self, name: str) -> dict:
        path = self.path / name
        if not path.exists():
            raise ValueError(f"{path}: missing; the run folder is not whole")
        return json.loads(path.read_text())
