"""The folder of an evaluation: what was asked, what is finished, and all results as lines.

    evaluation.json     what decides the results; a second start with anything else is an error
    videos/<key>/       one finished video: results.jsonl, frames.json, strip.png, features.npz,
                        and of cross-reenactment cross.jsonl, cross.png
    results.jsonl       all lines, those over all videos last
    cross.jsonl         a line for each person, driving video and method
    report.md, report.html

A video's folder gets its name when it is whole, so a killed evaluation goes on with the next one.
"""

import hashlib
import json
import math
import pathlib
import re
import shutil

import numpy as np

from tf_talking.config import from_json, to_json
from tf_talking.media.photos import write_png
from tf_talking.metrics.available import fid_of_features
from tf_talking.metrics.registry import Measurement
from training.evaluation.bootstrap import mean_interval
from training.evaluation.results import result_line
from training.runs.folder import write_atomically

FACTS_FILE = "evaluation.json"
REAL = "real"  # key of the real frames among the features


class EvaluationFolder:
    """Paths, and reading and writing of finished videos.

    Args:
      path: the folder; created by `start`.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        self.videos = self.path / "videos"

    def start(self, facts: dict) -> None:
        """Writes `facts`, or checks that the folder was made with the same ones.

        Raises:
          ValueError: it was not; names the field.
        """
        path = self.path / FACTS_FILE
        facts = json.loads(json.dumps(facts))
        if path.is_file():
            before = json.loads(path.read_text())
            if "config" in before:  # through the config: fields that came later have their defaults
                config = from_json(json.dumps(before["config"]), f"{path} (its config)")
                before["config"] = json.loads(to_json(config))
            check_same(path, facts, before)
            for leftover in self.videos.glob("*.tmp"):
                shutil.rmtree(leftover)
            return
        self.videos.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(facts, indent=2) + "\n")

    def read_facts(self) -> dict:
        """evaluation.json.

        Raises:
          ValueError: there is none.
        """
        path = self.path / FACTS_FILE
        if not path.is_file():
            raise ValueError(f"{path}: missing; expected a folder of training.evaluate")
        return json.loads(path.read_text())

    def finished(self) -> dict[str, dict]:
        """video_id → frames.json of every finished video, sorted by video_id."""
        paths = [p / "frames.json" for p in self.videos.glob("*") if p.suffix != ".tmp"]
        found = [json.loads(path.read_text()) for path in paths]
        return {frames["video_id"]: frames for frames in sorted(found, key=lambda f: f["video_id"])}

    def video(self, video_id: str) -> pathlib.Path:
        """Folder of a finished video; readable, and no two videos have the same."""
        readable = re.sub(r"[^\w.-]+", "_", video_id)[-60:].strip("._")
        return self.videos / f"{readable}-{hashlib.sha256(video_id.encode()).hexdigest()[:8]}"

    def is_finished(self, video_id: str) -> bool:
        return self.video(video_id).is_dir()

    def write_video(
        self,
        video_id: str,
        lines: list[str],
        frames: dict,
        strip: np.ndarray | None,
        features: dict[str, np.ndarray],
        cross: tuple[list[str], np.ndarray] | None = None,
    ) -> None:
        """Writes a finished video.

        Args:
          video_id: of the dataset.
          lines: of `result_line`.
          frames: which frames were used and what took how long, for frames.json.
          strip: uint8 picture, or None.
          features: `REAL` and "METHOD T" → Inception features [N, D]; empty without FID.
          cross: lines and strip of cross-reenactment.
        """
        final = self.video(video_id)
        folder = final.with_name(f"{final.name}.tmp")
        folder.mkdir()
        (folder / "results.jsonl").write_text("".join(f"{line}\n" for line in lines))
        (folder / "frames.json").write_text(json.dumps(frames) + "\n")
        if strip is not None:
            write_png(folder / "strip.png", strip)
        if cross is not None:
            (folder / "cross.jsonl").write_text("".join(f"{line}\n" for line in cross[0]))
            write_png(folder / "cross.png", cross[1])
        if features:
            np.savez(folder / "features.npz", **features)
        folder.rename(final)

    def read_lines(self, video_id: str, name: str = "results.jsonl") -> list[dict]:
        """The results of a finished video, values as floats (NaN where nothing was measured).

        None of them where the video has no such file.
        """
        path = self.video(video_id) / name
        return [parse_line(line) for line in path.read_text().splitlines()] if path.exists() else []

    def join(self, video_ids: list[str], name: str) -> str:
        """The lines of all these videos' files of that name."""
        paths = [self.video(video_id) / name for video_id in video_ids]
        return "".join(path.read_text() for path in paths if path.exists())

    def read_frames(self, video_id: str) -> dict:
        """frames.json of a finished video."""
        return json.loads((self.video(video_id) / "frames.json").read_text())

    def read_features(self, video_id: str) -> dict[str, np.ndarray]:
        """Inception features of a finished video."""
        with np.load(self.video(video_id) / "features.npz") as file:
            return dict(file)


def check_same(path: pathlib.Path, now: dict, before: dict, prefix: str = "") -> None:
    """Raises ValueError, naming the file and the field, where two sets of facts differ."""
    for field in sorted(set(now) | set(before)):
        a, b = now.get(field), before.get(field)
        if isinstance(a, dict) and isinstance(b, dict):
            check_same(path, a, b, f"{prefix}{field}.")
        elif a != b:
            raise ValueError(
                f"{path}: {prefix}{field} is {b!r}, this command has {a!r}; go on with the same "
                "flags or take another --output"
            )


def parse_line(line: str) -> dict:
    """A result line with its value (and interval) as floats again."""
    fields = json.loads(line)
    for name in ("value", "low", "high"):
        if name in fields:
            fields[name] = math.nan if fields[name] is None else float(fields[name])
    return fields


def over_all_videos(
    folder: EvaluationFolder, video_ids: list[str], facts: dict, metrics: list[str]
) -> list[str]:
    """Result lines of every metric, method and T over all videos.

    A metric is the mean of the videos' values, every video counting the same, with a bootstrap
    interval over videos. FID is taken once from the features of all frames and has no interval:
    a video that is drawn twice would change its bias.
    """
    rows = [row for video_id in video_ids for row in folder.read_lines(video_id)]
    features = [folder.read_features(v) for v in video_ids] if "fid" in metrics else []
    lines = []
    for shots in facts["shots"]:
        for method in facts["methods"]:
            for metric in metrics:
                if metric == "fid":
                    key = feature_key(method, shots)
                    real, fake = (np.concatenate([f[k] for f in features]) for k in (REAL, key))
                    measured, interval = fid_of_features(real, fake), (math.nan, math.nan)
                else:
                    wanted = (metric, method, shots)
                    own = [r for r in rows if (r["metric"], r["method"], r["shots"]) == wanted]
                    measured = mean_over_videos(metric, own)
                    values = np.array([row["value"] for row in own])
                    interval = mean_interval(values, seed=facts["seed"])
                low, high = (None if math.isnan(value) else value for value in interval)
                lines.append(
                    make_line(
                        facts,
                        measured,
                        method,
                        shots,
                        None,
                        videos=len(video_ids),
                        low=low,
                        high=high,
                    )
                )
    return lines


def mean_over_videos(metric: str, rows: list[dict]) -> Measurement:
    """Mean of the videos' values; NaN where none could be measured."""
    values = np.array([row["value"] for row in rows])
    measured = ~np.isnan(values)
    value = float(values[measured].mean()) if measured.any() else math.nan
    return Measurement(
        metric, value, sum(row["n"] for row in rows), sum(row["missing"] for row in rows)
    )


def feature_key(method: str, shots: int) -> str:
    """Name of a method's features in features.npz."""
    return f"{method} {shots}"


def make_line(
    facts: dict, measured: Measurement, method: str, shots: int, video: str | None, **more
) -> str:
    """One result line; `video` None: of all videos."""
    return result_line(
        measured,
        facts["checkpoint"],
        facts["config_hash"],
        facts["data_hash"],
        facts["seed"],
        method=method,
        shots=shots,
        video=video,
        epochs=facts["epochs"].get(method, 0),
        step=facts["step"],
        source=facts["metric_sources"].get(measured.metric),
        **more,
    )
