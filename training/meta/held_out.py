"""The held-out curve: how feed-forward does on people kept out, while meta-training goes on.

A few people, always the same: T frames spread over the first two thirds of a video make ψ̂, frames
of its last third are drawn from their landmarks. Values go into the log as `held_out/METRIC`; the
checkpoint with the least error so far is kept apart, under the run's `best/`.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tf_talking import files
from tf_talking.dataset.folder import DatasetFolder, ManifestEntry
from tf_talking.dataset.records import decode_frames
from tf_talking.metrics import registry
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.spread import spread
from training.finetuning.knee import geometric_mean_error

_FACTS = "best.json"


class HeldOutPeople:
    """The frames that the curve is measured on.

    Args:
      dataset: folder of the people.
      entries: manifest entries, one person each.
      shots: T.
      targets: frames drawn of each person.
    """

    def __init__(self, dataset: DatasetFolder, entries: Sequence[ManifestEntry], shots: int, targets: int):
        self.people = []
        for entry in entries:
            record = dataset.read_video(entry.video_id)
            early = max(record.num_frames * 2 // 3, 1)
            sources = spread(early, shots)
            late = early + spread(record.num_frames - early, targets)
            self.people.append(
                (
                    decode_frames(record, sources),
                    record.landmarks[sources],
                    decode_frames(record, late),
                    record.landmarks[late],
                )
            )

    @classmethod
    def choose(
        cls, dataset: DatasetFolder, identities: Sequence[str], count: int, shots=8, targets=4
    ) -> "HeldOutPeople":
        """The first video of each of at most `count` people that has frames enough.

        Raises:
          ValueError: nobody has.
        """
        chosen: dict[str, ManifestEntry] = {}
        for entry in dataset.accepted:
            enough = entry.num_frames >= 3 * targets
            if entry.identity in identities and enough and len(chosen) < count:
                chosen.setdefault(entry.identity, entry)
        if not chosen:
            raise ValueError(f"held_out_every: none of the people kept out has a video of {3 * targets} frames")
        return cls(dataset, list(chosen.values()), shots, targets)


class HeldOutCurve:
    """Measures the EMA networks, and keeps the best checkpoint.

    Args:
      learned: E and G as they are evaluated.
      people: whom to draw.
      metrics: names of registered metrics per frame; the error is the geometric mean of theirs.
      needs: what those need besides frames and landmarks.
      checkpoint: what is written.
      folder: of the best checkpoint.
    """

    def __init__(
        self,
        learned: MetaLearned,
        people: HeldOutPeople,
        metrics: Sequence[str],
        needs: Mapping[str, object],
        checkpoint: tf.train.Checkpoint,
        folder: pathlib.Path,
    ):
        self._people, self._metrics, self._needs = people.people, list(metrics), needs
        self._checkpoint, self._folder = checkpoint, folder
        self._embed = learned.compile_projection()
        self._draw = tf.function(learned.draw, autograph=False)

    def measure(self) -> dict[str, float]:
        """Means over the people, by metric; "error" is what decides."""
        values: dict[str, list[float]] = {name: [] for name in self._metrics}
        for frames, points, real, landmarks in self._people:
            psi = self._embed(tf.constant(frames[None]), tf.constant(points[None]))[0]
            fake = self._draw(tf.constant(landmarks), psi).numpy()
            for name in self._metrics:
                given = {n: self._needs.get(n, landmarks) for n in registry.get(name).needs}
                values[name].append(registry.compute(name, real, fake, **given))
        means = {name: float(np.nanmean(found)) for name, found in values.items()}
        return means | {"error": geometric_mean_error(means, self._metrics)}

    def look(self, step: int) -> dict[str, float]:
        """Measures, and keeps the checkpoint where it is the best so far; scalars for the log."""
        values = self.measure()
        facts = self._folder / _FACTS
        best = json.loads(facts.read_text())["error"] if facts.is_file() else float("inf")
        if values["error"] < best:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._checkpoint.write(str(self._folder / "ckpt"))
            files.write_whole(facts, json.dumps({"step": step, **values}, indent=1) + "\n")
        logging.info("held out, step %d: %s", step, ", ".join(f"{k} {v:.4f}" for k, v in values.items()))
        return {f"held_out/{name}": value for name, value in values.items()}
