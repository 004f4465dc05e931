"""One face recogniser, one task: lending identity, comparing faces in a loss, or measuring CSIM.

A network that was optimised against says little about the result: generated faces learn to please
it. So whoever measures is neither who lent nor who taught.
"""

import os
import pathlib
import re
from collections.abc import Iterable

from tf_talking.content import sface
from tf_talking.content.weights import describe
from tf_talking.networks.meta_learned import MetaLearned
from training.runs.seen_people import read_training_facts

_LENDERS = {"sface": sface.SHA256}
_DIGEST = re.compile(r"sha256:([0-9a-f]{12})")


def check_metric(recogniser: str | os.PathLike | None, borrowed: str, losses: Iterable[str]) -> None:
    """Refuses a recogniser for CSIM that has had another task.

    Args:
      recogniser: of --recogniser; None measures nothing.
      borrowed: `model.borrowed_identity` of the model.
      losses: files of the losses' networks, as `describe` tells of them.

    Raises:
      ValueError: names the two tasks.
    """
    if not recogniser:
        return
    digest = _digest(recogniser)
    if digest and digest == _LENDERS.get(borrowed, "")[: len(digest)]:
        raise ValueError(
            f"recogniser: {recogniser} lends the model its identity (model.borrowed_identity={borrowed}) "
            "and can not measure it too; give another one"
        )
    for source in losses:
        if digest and digest in _DIGEST.findall(source):
            raise ValueError(
                f"recogniser: {recogniser} is the face network of the loss ({source}) and can not measure "
                "what was trained with it; give another one"
            )


def check_metric_of(recogniser: str | os.PathLike | None, learned: MetaLearned, face_weights: str) -> None:
    """`check_metric` of a model that was meta-learned and may now be fine-tuned.

    Args:
      recogniser: of --recogniser.
      learned: a checkpoint's or a bundle's, which tells what it was trained with.
      face_weights: of the content loss of fine-tuning.
    """
    losses = list(read_training_facts(learned.checkpoint).get("content_weights", {}).values())
    if pathlib.Path(face_weights).is_file():
        losses.append(describe(pathlib.Path(face_weights)))
    check_metric(recogniser, learned.config.model.borrowed_identity, losses)


def _digest(recogniser: str | os.PathLike) -> str:
    """12 hexadecimal digits; empty for a name whose file is not known here."""
    if str(recogniser) in _LENDERS:
        return _LENDERS[str(recogniser)][:12]
    path = pathlib.Path(recogniser)
    return _DIGEST.findall(describe(path))[-1] if path.is_file() else ""
