"""Whether feed-forward draws people that the model was trained on:

    python -m benchmarks.memorisation --checkpoint real128 --dataset data/clips128 \
        --dataset data/photos128 --recogniser ms1m.keras

People kept out are drawn from one frame of theirs, by another one's landmarks where there is one;
a recogniser that taught and lent nothing compares what was drawn with that frame, and with one
frame of everybody in the training data. The real frame's own nearest training person says how
close people come by chance. The last line is JSON.
"""

import numpy as np
from absl import flags

from benchmarks.measuring.result import result
from tf_talking import program
from tf_talking.dataset.records import decode_frames
from tf_talking.dataset.videos import open_alike
from tf_talking.metrics.face_recognition import load_recogniser
from tf_talking.networks.meta_checkpoint import load_meta_learned
from training.runs.recognisers import check_metric_of
from training.runs.seen_people import read_training_facts

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_string("checkpoint", None, "A model's name, a bundle, run folder or checkpoint.", required=True)
    flags.DEFINE_multi_string("dataset", None, "Its training data, with the people kept out.", required=True)
    flags.DEFINE_string("recogniser", None, "As training.evaluate takes it.", required=True)
    flags.DEFINE_list("identities", [], "Who may be drawn; default: everybody kept out.")
    flags.DEFINE_integer("people", 50, "How many are drawn.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Who is drawn.", lower_bound=0)


def people_kept_out(checkpoint: str) -> set[str]:
    """As the model tells. Raises ValueError where it does not."""
    kept_out = set(read_training_facts(checkpoint).get("excluded_identities", []))
    if not kept_out:
        raise ValueError(f"{checkpoint}: nobody is known to have been kept out of its training")
    return kept_out


def main(argv: list[str]) -> dict:
    del argv
    learned = load_meta_learned(FLAGS.checkpoint, with_discriminator=True)
    check_metric_of(FLAGS.recogniser, learned, "")
    kept_out = people_kept_out(learned.checkpoint)
    recogniser = load_recogniser(FLAGS.recogniser)
    known, unseen = {}, {}
    for folder in open_alike(FLAGS.dataset):
        folder.info.check_made_for(learned.config)
        for entry in folder.accepted:
            (unseen if entry.identity in kept_out else known).setdefault(entry.identity, (folder, entry))

    def embed(frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        vectors = recogniser(frames, landmarks)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    trained = []
    for folder, entry in known.values():
        record = folder.read_video(entry.video_id)
        trained.append(embed(decode_frames(record, [0]), record.landmarks[:1])[0])
    trained, drawn_from = np.stack(trained), sorted(set(FLAGS.identities or unseen) & set(unseen))
    if not drawn_from:
        raise ValueError(f"identities: nobody of {FLAGS.identities} is in the data and was kept out")
    chosen = np.random.default_rng(FLAGS.seed).permutation(len(drawn_from))[: FLAGS.people]
    rows = []
    for identity in (drawn_from[i] for i in sorted(chosen)):
        folder, entry = unseen[identity]
        record = folder.read_video(entry.video_id)
        source, last = decode_frames(record, [0]), record.landmarks[-1:]
        psi = learned.project_person(learned.embed_person(source, record.landmarks[:1]))
        drawn = learned.draw(last, psi).numpy()
        real, made = embed(source, record.landmarks[:1])[0], embed(drawn, last)[0]
        own, nearest, by_chance = made @ real, np.max(trained @ made), np.max(trained @ real)
        rows.append((own, nearest, by_chance))
        print(f"{identity}: own face {own:.3f}, nearest training face {nearest:.3f}, that of the photo {by_chance:.3f}")
    own, nearest, by_chance = np.transpose(rows)
    return result(
        {
            "step": learned.step,
            "people": len(rows),
            "training_people": len(trained),
            "cosine_to_own_face": own.mean(),
            "cosine_to_nearest_training_face": nearest.mean(),
            "greatest_cosine_to_a_training_face": nearest.max(),
            "of_real_photos_cosine_to_nearest_training_face": by_chance.mean(),
            "of_real_photos_greatest": by_chance.max(),
            "nearer_to_a_training_face_than_to_their_own": (nearest > own).mean(),
        }
    )


if __name__ == "__main__":
    program.run(main, define_flags)
