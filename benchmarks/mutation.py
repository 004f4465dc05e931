"""How many small faults of the product the tests find: `python -m benchmarks.mutation`.

Changes one place of a module at a time and runs that module's tests; where they stay green, the
mutant has survived. `--mutants` of each module are drawn by `--seed`; 0: all. What is found is
added to `--record` at once, and a mutant whose source and tests stand there is not run again. The
last line is JSON: for each module how many mutants there are, ran and were killed, and the share.
"""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags
from tqdm import tqdm

from benchmarks.measuring import forked_tests
from benchmarks.measuring.forked_tests import Job, Outcome
from benchmarks.measuring.mutants import Mutant, mutants, some
from benchmarks.measuring.result import result
from tf_talking import program

FLAGS = flags.FLAGS

MODULES = {
    "tf_talking/losses.py": ("tests/tf_talking/test_losses.py",),
    "training/meta/step.py": (
        "tests/training/updates/test_adversarial.py",
        "tests/training/meta/test_step.py",
        "--deselect=tests/training/meta/test_step.py::test_xla_equals_the_plain_step",
    ),
    "training/finetuning/model.py": ("tests/training/finetuning/test_model.py",),
    "training/finetuning/publish.py": ("tests/training/finetuning/test_publish.py",),
    "tf_talking/served/graphs.py": ("tests/tf_talking/served/test_graphs.py", "tests/tf_talking/served/test_warmup.py"),
    "tf_talking/served/frozen.py": ("tests/tf_talking/served/test_frozen.py", "tests/tf_talking/served/test_graphs.py"),
    "tf_talking/people/card.py": ("tests/tf_talking/people/test_card.py", "tests/tf_talking/people/test_registry.py"),
    "serving/server/models/versions.py": ("tests/serving/server/models/test_versions.py",),
}
"""Module -> the test files that are there for it, the quickest first, and flags of pytest."""

_TIMES, _MORE = 3, 30  # a mutant may take so many times what the tests take, and so many seconds more


@dataclasses.dataclass
class Score:
    """Of one module."""

    mutants: int
    ran: int = 0
    killed: int = 0
    too_long: int = 0

    def count(self, code: int | None) -> None:
        """Adds one outcome."""
        self.ran += 1
        self.killed += code != forked_tests.PASSED
        self.too_long += code is None


class Record:
    """Outcomes of mutants, a line of JSON each, in a file that grows."""

    def __init__(self, path: str | None):
        self._path = path
        self._codes: dict[str, int | None] = {}
        if path and os.path.exists(path):
            for line in pathlib.Path(path).read_text().splitlines():
                entry = json.loads(line)
                self._codes[entry["key"]] = entry["code"]

    def __contains__(self, key: str) -> bool:
        return key in self._codes

    def __getitem__(self, key: str) -> int | None:
        return self._codes[key]

    def add(self, key: str, mutant: Mutant, outcome: Outcome) -> None:
        """Also writes it."""
        self._codes[key] = outcome.code
        if self._path:
            entry = {"key": key, "mutant": str(mutant), "code": outcome.code, "seconds": round(outcome.seconds, 1)}
            with open(self._path, "a") as file:
                file.write(json.dumps(entry) + "\n")


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_multi_enum("module", None, sorted(MODULES), "Which modules; by default all; repeatable.")
    flags.DEFINE_integer("mutants", 30, "Of each module, at most; 0: all.", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "Of the draw.")
    flags.DEFINE_integer("at_once", 2, "Test runs at a time.", lower_bound=1)
    flags.DEFINE_string("record", None, "File of outcomes, which a later call goes on with.")


def key_of(mutant: Mutant, tests: tuple[str, ...]) -> str:
    """Tells a mutant and the tests as they are now from all others."""
    digest = hashlib.sha256(mutant.source.encode())
    for test in tests:
        digest.update(test.encode() if test.startswith("-") else pathlib.Path(test).read_bytes())
    return digest.hexdigest()


def unchanged_seconds(modules: list[str], log: pathlib.Path) -> dict[str, float]:
    """How long each module's tests take. Raises ValueError where they fail without a mutant."""
    seconds = {}

    def note(job: Job, outcome: Outcome) -> None:
        if outcome.code != forked_tests.PASSED:
            raise ValueError(f"pytest {' '.join(job.tests)}: fails without a fault\n{log.read_text()[-4000:]}")
        seconds[job.key] = outcome.seconds

    forked_tests.run([Job(module, MODULES[module], 1800) for module in modules], 1, log, note)
    return seconds


def main(argv):
    modules = FLAGS.module or list(MODULES)
    forked_tests.preload()
    record = Record(FLAGS.record)
    found = {module: mutants(pathlib.Path(module)) for module in tqdm(modules, "mutants", unit="module")}
    chosen = {module: some(found[module], FLAGS.mutants or len(found[module]), FLAGS.seed) for module in modules}
    with tempfile.TemporaryDirectory() as name:
        log = pathlib.Path(name) / "log"
        left = {m: [mutant for mutant in chosen[m] if key_of(mutant, MODULES[m]) not in record] for m in modules}
        seconds = unchanged_seconds([module for module in modules if left[module]], log)
        todo = [
            Job(mutant, MODULES[module], _TIMES * seconds[module] + _MORE, (mutant.path, mutant.source))
            for module in modules
            for mutant in left[module]
        ]
        with tqdm(total=len(todo), desc="mutants", unit="run") as bar:

            def note(job: Job, outcome: Outcome) -> None:
                record.add(key_of(job.key, job.tests), job.key, outcome)
                if outcome.code == forked_tests.PASSED:
                    bar.write(f"survived: {job.key}")
                bar.update()

            forked_tests.run(todo, FLAGS.at_once, log, note)
    scores, survivors = {}, collections.defaultdict(list)
    for module in modules:
        scores[module] = Score(len(found[module]))
        for mutant in chosen[module]:
            code = record[key_of(mutant, MODULES[module])]
            scores[module].count(code)
            if code == forked_tests.PASSED:
                survivors[module].append(str(mutant))
    for module, score in scores.items():
        print(f"{module}: {score.killed} of {score.ran} killed ({score.mutants} mutants)")
        print("".join(f"  survived: {mutant}\n" for mutant in survivors[module]), end="")
    ran, killed = (sum(getattr(score, field) for score in scores.values()) for field in ("ran", "killed"))
    return result(
        {
            "mutants_a_module": FLAGS.mutants,
            "seed": FLAGS.seed,
            "modules": {module: dataclasses.asdict(score) for module, score in scores.items()},
            "ran": ran,
            "killed": killed,
            "share_killed": killed / max(ran, 1),
        }
    )


if __name__ == "__main__":
    program.run(main, define_flags)
