"""What both demos do: run the commands a user would run, and show what came out."""

import json
import os
import pathlib
import subprocess
import sys

from serving.drive.comparison import Comparison, format_table, write_sheet
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import VideoRecord


def run(*arguments: str) -> None:
    """Runs `python -m …` and shows the command. Raises RuntimeError where it fails."""
    command = [sys.executable, "-m", *arguments]
    print(f"\n$ python -m {' '.join(arguments)}", flush=True)
    result = subprocess.run(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if result.returncode:
        raise RuntimeError(f"this command ended with exit code {result.returncode}")


def only_video(folder: pathlib.Path) -> VideoRecord:
    """The record of a dataset folder with one video."""
    dataset = DatasetFolder.open(folder)
    return dataset.read_video(dataset.accepted[0].video_id)


def write_results(results: Comparison, folder: pathlib.Path) -> None:
    """contact_sheet.png and results.json, and the errors on stdout."""
    write_sheet(results, folder / "contact_sheet.png")
    (folder / "results.json").write_text(json.dumps(results.errors, indent=2) + "\n")
    print(f"\nErrors on {len(results.ground_truth)} hold-out frames of another video of the person")
    print(format_table(results))
