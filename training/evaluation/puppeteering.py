"""Photographs brought to life by other people's videos ("Puppeteering results", figure 5).

Each photo is somebody else, learnt from this one frame; drivers are ranked as in `cross.py`. One
finished photo is one folder, so a killed job goes on with the next.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from training.evaluation.cross import CrossReenactment
from training.evaluation.cross_report import cross_blocks
from training.evaluation.folder import EvaluationFolder
from training.evaluation.methods import Methods
from training.evaluation.report import conditions_of_model, left_out_blocks, write_reports
from training.pages.blocks import Heading, Lines
from training.person.frames import PersonFrames


@dataclasses.dataclass(frozen=True)
class Puppeteering:
    """What all photos have in common.

    Attributes:
      methods: feed-forward, and how photos are fine-tuned.
      cross: the drivers, and how they are ranked.
      facts: what evaluation.json holds.
      output: started with these facts.
    """

    methods: Methods
    cross: CrossReenactment
    facts: dict
    output: EvaluationFolder

    def run(self, photos: Sequence[pathlib.Path], find: Callable[[pathlib.Path], PersonFrames]) -> dict[str, str]:
        """Drives each photo that is not finished yet.

        Args:
          photos: files of different names, a person each.
          find: photo -> its cropped frame and landmarks; ValueError where it has not one face.

        Returns:
          name -> why the photo was left out.
        """
        left_out = {}
        for path in self.output.unfinished(photos, lambda path: path.name, "photo"):
            try:
                person = find(path)
            except ValueError as error:
                left_out[path.name] = str(error)
                logging.warning("%s is left out: %s", path.name, error)
            else:
                self.run_photo(path.name, person)
        return left_out

    def run_photo(self, name: str, person: PersonFrames) -> None:
        """Learns one person from one frame, draws all drivers' landmarks, ranks the drivers."""
        drivers = self.cross.drivers
        landmarks = np.concatenate([driver.landmarks for driver in drivers])
        frames = self.methods.draw(person, landmarks)
        cross = self.cross.measure(person, frames, drivers, self.facts, name, name)
        used = {"identity": name, "seconds": {1: self.methods.seconds}}
        self.output.write_video(name, [], used, None, {}, cross)

    def write_report(self, photos: Sequence[pathlib.Path], left_out: dict[str, str]) -> pathlib.Path:
        """cross.jsonl, report.md and report.html of finished photos. Returns the page's path.

        Raises:
          ValueError: no photo is finished.
        """
        names = [path.name for path in photos if self.output.is_finished(path.name)]
        if not names:
            raise ValueError(f"photos: none of {len(photos)} photos could be used: {left_out}")
        finished, facts = self.output.read(names), self.facts
        self.output.write_joined("cross.jsonl", finished)
        conditions = [
            *conditions_of_model(facts),
            f"Driven by {len(self.cross.drivers)} videos of {facts['dataset']} (data "
            f"{facts['data_hash']}), {facts['cross']['frames']} frames of each: "
            + ", ".join(driver.video_id for driver in self.cross.drivers),
            f"CSIM: {facts['metric_sources']['csim']}",
        ]
        blocks = [Heading("Puppeteering of photographs", 1), Lines(conditions)]
        blocks += cross_blocks(self.output.path, facts, finished)
        return write_reports(blocks + left_out_blocks("Photos left out", left_out), self.output.path)
