"""One person under two names, two people under one: `python -m training.check_identities`.

Compares the embeddings that `training.preprocess --borrowed_identity` stored in one dataset or
several, and prints what does not fit the names. With --keep_out it also writes whom a training has
to leave out: those people, whoever looks like one of them under another name, and identities that
mix people. `training.meta_train --flagfile=FILE` takes what --output wrote.
"""

import pathlib

from absl import flags

from tf_talking import files, program
from tf_talking.dataset import identities
from tf_talking.dataset.videos import open_alike
from tf_talking.text_table import text_table

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_multi_string("dataset", None, "Dataset folder of training.preprocess; repeatable.", required=True)
    flags.DEFINE_list("keep_out", [], "Identities that are to be kept out of a training.")
    flags.DEFINE_float("same", 0.55, "Least cosine of two identities that are one person.", -1.0, 1.0)
    flags.DEFINE_float("different", 0.35, "Greatest cosine of pictures that show different people.", -1.0, 1.0)
    flags.DEFINE_string("output", None, "File for the flag --exclude_identities of training.meta_train.")


def main(argv: list[str]) -> str:
    del argv
    embeddings = identities.stored_embeddings(open_alike(FLAGS.dataset))
    unknown = sorted(set(FLAGS.keep_out) - set(embeddings))
    if unknown:
        raise ValueError(f"keep_out: nobody is called {unknown[0]!r} in {', '.join(FLAGS.dataset)}")
    same = identities.same_people(embeddings, FLAGS.same)
    different = identities.different_people(embeddings, FLAGS.different)
    left_out = identities.to_leave_out(FLAGS.keep_out, same, different)
    if FLAGS.output:
        if not left_out:
            raise ValueError("output: nobody has to be left out, so there is nothing to write")
        files.write_whole(pathlib.Path(FLAGS.output), f"--exclude_identities={','.join(left_out)}\n")
    rows = [("one person", pair.identity, pair.other, f"{pair.cosine:.3f}") for pair in same]
    rows += [("several people", one.identity, None, f"{one.cosine:.3f}") for one in different]
    table = text_table(("finding", "identity", "identity", "cosine"), rows)
    return (
        f"{table}\n{len(embeddings)} identities; {len(same)} pairs look like one person, {len(different)} "
        f"mix people; {len(left_out)} to leave out, {len(FLAGS.keep_out)} of them asked for"
    )


if __name__ == "__main__":
    program.run(main, define_flags)
