"""User study (paper section 4): `python -m training.user_study real`, `build`, `score FILES`.

`real` writes the real frames of a dataset folder's people; whoever evaluates methods writes the
generated ones beside them (`study/frames.py`: `generated_folder`, `save_frames`):

    python -m training.user_study real --dataset=DATASET --frames=FRAMES

`build` makes a page of triplets, two real frames and a generated one, from folders of frames
(`study/frames.py` says how they lie); give the folder to the participants, keep the key:

    python -m training.user_study build --frames=FRAMES --output=STUDY

`score` makes the USER figure of each method and T from the files that the page saves. Files that
can not count are named with the reason and left out. The last line is one JSON object:

    python -m training.user_study score --key=STUDY.key.json answers/*.json
"""

import datetime
import json
import pathlib

from absl import app, flags, logging

from tf_talking import program
from tf_talking.files import write_whole
from tf_talking.text_table import text_table
from training.study import score as study_score
from training.study.dataset import write_real_frames
from training.study.frames import read_people
from training.study.page import write_study
from training.study.triplets import conditions_of, draw_triplets

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("dataset", None, "real: dataset folder.")
    flags.DEFINE_list("identities", [], "real: people, separated by commas; default: everybody.")
    flags.DEFINE_integer("frames_per_video", 8, "real: frames of each video.", lower_bound=1)
    flags.DEFINE_string("frames", None, "real, build: folder of frames, as in study/frames.py.")
    flags.DEFINE_string("output", None, "build: folder to make; score: file for the JSON line.")
    flags.DEFINE_multi_string(
        "key", None, "build: where the key is written (OUTPUT.key.json); score: key of each study."
    )
    flags.DEFINE_integer("triplets", 20, "build: triplets of each method and T.", lower_bound=1)
    flags.DEFINE_integer("size", 0, "build: side of the pictures, pixels; 0: the smallest one's.", 0)
    flags.DEFINE_integer("quality", 95, "build: of JPEG.", 1, 100)
    flags.DEFINE_string("title", "Which picture is fake?", "build: heading of the page.")
    flags.DEFINE_integer("seed", 0, "build: of the triplets; score: of the bootstrap.", lower_bound=0)


def real() -> None:
    """Writes the real frames of the dataset folder that the flags name."""
    if not FLAGS.dataset or not FLAGS.frames:
        raise ValueError("real: expected --dataset and --frames")
    written = write_real_frames(FLAGS.dataset, pathlib.Path(FLAGS.frames), FLAGS.frames_per_video, FLAGS.identities)
    print(f"{FLAGS.frames}: {sum(written.values())} videos of {len(written)} people")


def build() -> None:
    """Makes the page and the key that the flags ask for."""
    if not FLAGS.frames or not FLAGS.output:
        raise ValueError("build: expected --frames and --output")
    page = pathlib.Path(FLAGS.output)
    keys = FLAGS.key or [f"{page}.key.json"]
    if len(keys) > 1:
        raise ValueError(f"build: got {len(keys)} times --key, expected one")
    people = read_people(pathlib.Path(FLAGS.frames))
    triplets = draw_triplets(people, FLAGS.triplets, FLAGS.seed)
    write_study(triplets, page, pathlib.Path(keys[0]), FLAGS.title, FLAGS.seed, FLAGS.size, FLAGS.quality)
    names = ", ".join(condition.folder for condition in conditions_of(people))
    print(f"{page}/index.html: {len(triplets)} triplets of {names}; for the participants")
    print(f"{keys[0]}: the key; keep it to yourself")


def answer_files(arguments: list[str]) -> list[pathlib.Path]:
    """The files named, and those in the folders named. Raises FileNotFoundError."""
    files = []
    for path in map(pathlib.Path, arguments):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder of answers")
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    return files


def score(arguments: list[str]) -> dict:
    """The result of all answer files: rows of `study_score.score`, and what did not count."""
    if not FLAGS.key or not arguments:
        raise ValueError("score: expected --key and files of answers")
    keys = {key["study"]: key for key in (study_score.read_key(pathlib.Path(k)) for k in FLAGS.key)}
    answers, refused, copies = study_score.collect(answer_files(arguments), keys)
    for path, reason in refused.items():
        logging.error("%s is left out: %s", path, reason)
    if not answers:
        raise ValueError(f"none of {arguments} holds answers that count")
    unfinished = [a.file for a in answers if len(a.chosen) < len(keys[a.study]["triplets"])]
    positions = [p for a in answers for p in a.positions]
    return {
        "metric": "user",
        "chance": round(study_score.CHANCE, 4),
        "studies": sorted(keys),
        "participants": len({a.participant.strip() for a in answers}),
        "results": study_score.score(answers, keys, FLAGS.seed),
        "chosen_by_position": [positions.count(p) for p in (1, 2, 3)],
        "unfinished": unfinished,
        "copies": copies,
        "refused": refused,
        "seed": FLAGS.seed,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def format_table(result: dict) -> str:
    """The rows as text for people."""

    def interval(bounds: list[float] | None) -> str | None:
        return bounds and "–".join(f"{bound:.3f}" for bound in bounds)

    rows = []
    for row in result["results"]:
        intervals = (interval(row[name]) for name in ("wilson_95", "bootstrap_95"))
        rows.append((row["method"], row["t"] or "", f"{row['user']:.3f}", *intervals, row["n"]))
    header = ("method", "T", "USER", "Wilson 95 %", "participants 95 %", "n")
    return text_table(header, rows)


def main(argv: list[str]) -> str | None:
    match argv[1:]:
        case ["real"]:
            real()
        case ["build"]:
            build()
        case ["score", *answers]:
            result = score(answers)
            line = json.dumps(result, ensure_ascii=False, allow_nan=False)
            if FLAGS.output:
                write_whole(FLAGS.output, line + "\n")
            return f"{format_table(result)}\n{line}"
        case _:
            raise app.UsageError("expected `real`, `build`, or `score` and files of answers")


if __name__ == "__main__":
    program.run(main, define_flags, arguments=True)
