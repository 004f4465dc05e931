"""Renews people's cards for another model:

    python -m serving.reproject --checkpoint RUN --people DIR

After training went on and `serving.export` has published the new model, feed-forward cards get
their ψ̂ anew from what they hold: P·ê, or P of the person vector where identity is borrowed. Without
photos, that is all that can be done, and it is right where the embedder is the one that made ê. A
card of another embedder, or of one that nobody knows, is listed and left as it is;
--accept_other_embedder renews it all the same, for a run that went on for a short while. What was
fine-tuned for a person is no function of ê: these cards are listed and left as they are. Prints a
line for each card; the last line counts.
"""

import collections
import dataclasses
import pathlib

import numpy as np
from absl import flags

from tf_talking import program
from tf_talking.people.card import PersonCard

FLAGS = flags.FLAGS
CURRENT, RENEWED, FINETUNE, EMBED = "current", "renewed", "fine-tune again", "embed again from photos"
_SAME = 1e-3  # of the largest value of ψ: two computations of one product


def define_flags() -> None:
    """Only when run as a program."""
    flags.DEFINE_string("checkpoint", None, "Run folder, checkpoint prefix or bundle: the new model.", required=True)
    flags.DEFINE_string("people", None, "Folder of person cards, `people` of a serving folder.", required=True)
    flags.DEFINE_bool("accept_other_embedder", False, "Renew cards whose ê another embedder made: see above.")
    flags.DEFINE_bool("dry_run", False, "Say what would be done, and write nothing.")


def renewed(card: PersonCard, learned, accept_other_embedder: bool = False) -> tuple[str, str, PersonCard]:
    """What becomes of a card with a model.

    Args:
      learned: the `MetaLearned` networks.
      accept_other_embedder: see the module.

    Returns:
      CURRENT, RENEWED, FINETUNE or EMBED; why; the card, another one where it is renewed.
    """
    from tf_talking.config import config_hash

    config, prints = learned.config, learned.fingerprints
    if card.model != "generator":
        return FINETUNE, f"{card.model} draws it as before, and learns nothing from the new model", card
    if card.fingerprint == prints["fingerprint"]:
        return CURRENT, "of this model", card
    if card.extra.get("tune", "none") != "none":
        return FINETUNE, "its ψ was fine-tuned for another generator", card
    expected = {
        "image_size": config.model.image_size,
        "detector": config.landmarks.detector,
        "scheme": config.landmarks.scheme,
    }
    for name, value in expected.items():
        if getattr(card, name) != value:
            return EMBED, f"its {name} is {getattr(card, name)!r}, the model's {value!r}", card
    vector = card.embedding if card.person_vector is None else card.person_vector
    wanted = config.model.person_size
    if vector.size != wanted:
        return EMBED, f"it holds {vector.size} values of the person, the model projects {wanted}", card
    adain_params = learned.project_person(vector).astype(np.float32)
    # One without fingerprints may be of this very model: then its ψ is the same.
    same = card.adain_params.shape == adain_params.shape and np.allclose(
        adain_params, card.adain_params, rtol=0, atol=_SAME * float(np.abs(adain_params).max())
    )
    known = card.embedder_fingerprint == prints["embedder_fingerprint"] or (not card.fingerprint and same)
    if not known and not accept_other_embedder:
        return EMBED, "another embedder, or one that is not known, made its ê", card
    made = dict(adain_params=adain_params, config_hash=config_hash(config), fingerprint=prints["fingerprint"])
    if known:
        made["embedder_fingerprint"] = prints["embedder_fingerprint"]
    why = "" if known else "its ê is of another embedder"
    return RENEWED, why, dataclasses.replace(card, **made)


def reproject(
    checkpoint: str, people: pathlib.Path, accept_other_embedder: bool = False, dry_run: bool = False
) -> dict[str, list[str]]:
    """Renews the cards of a folder; each file is replaced in one go.

    Returns:
      what became of them -> names of the files.

    Raises:
      FileNotFoundError: no such folder.
      ValueError: names the card that can not be read; nothing was written then. Or the checkpoint.
    """
    from tf_talking.networks.meta_checkpoint import load_meta_learned

    if not people.is_dir():
        raise FileNotFoundError(f"people {people}: no such folder")
    cards = {path: PersonCard.load(path) for path in sorted(people.glob("*.npz"))}
    learned = load_meta_learned(checkpoint)
    found: dict[str, list[str]] = collections.defaultdict(list)
    for path, card in cards.items():
        outcome, why, new = renewed(card, learned, accept_other_embedder)
        if outcome == RENEWED and not dry_run:
            new.save(path)
        found[outcome].append(path.name)
        print(f"{path.name}: {outcome}" + (f" ({why})" if why else ""))
    return dict(found)


def main(argv):
    found = reproject(FLAGS.checkpoint, pathlib.Path(FLAGS.people), FLAGS.accept_other_embedder, FLAGS.dry_run)
    return {outcome: len(found.get(outcome, [])) for outcome in (CURRENT, RENEWED, FINETUNE, EMBED)}


if __name__ == "__main__":
    program.run(main, define_flags)
