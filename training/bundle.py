"""One portable file of a meta-learned model: E, G with P and D, in float16.

    python -m training.bundle --checkpoint runs/clips --output clips.tft

The file is accepted wherever --checkpoint is. W and Adam's moments, which belong to the run and its
videos, stay behind. Prints bundle.json's facts, but the config and names of people.
"""

import os

from absl import flags

from tf_talking import program
from tf_talking.networks.bundle import write_bundle
from tf_talking.networks.meta_checkpoint import load_meta_learned
from training.runs.seen_people import read_seen_people, read_training_facts

FLAGS = flags.FLAGS
# Of run.json: what the model was trained on, and with which losses' networks.
_TOLD = ("num_videos", "excluded_identities", "data_hash")


def define_flags() -> None:
    flags.DEFINE_string("checkpoint", None, "Run folder or checkpoint.", required=True)
    flags.DEFINE_string("output", None, "The bundle, NAME.tft.", required=True)


def main(argv: list[str]) -> dict:
    if not FLAGS.output.endswith(".tft"):
        raise ValueError(f"--output: got {FLAGS.output}, expected a name that ends with .tft")
    learned = load_meta_learned(FLAGS.checkpoint, with_discriminator=True)
    run = read_training_facts(learned.checkpoint)
    told = {name: run[name] for name in _TOLD if name in run}
    # Where they lay on this machine is nobody else's business.
    sources = run.get("content_weights", {})
    told["content_weights"] = {name: source.rsplit("/", 1)[-1] for name, source in sources.items()}
    told["people"] = read_seen_people(learned.checkpoint).facts()
    facts = write_bundle(FLAGS.output, learned, told)
    # Long lists and the config are for programs; they stand in bundle.json.
    for name in ("config", "people", "excluded_identities"):
        facts.pop(name, None)
    return {**facts, "bytes": os.path.getsize(FLAGS.output)}


if __name__ == "__main__":
    program.run(main, define_flags)
