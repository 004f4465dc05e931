"""Time of few-shot learning by fine-tuning, from a few epochs or from all of them."""

import gc
import time
from collections.abc import Mapping, Sequence

import keras
from absl import logging

from tf_talking.networks.meta_learned import MetaLearned
from training.finetuning.model import PersonalModel
from training.person.frames import PersonFrames, photo_dataset


def finetuning_seconds(
    learned: MetaLearned,
    content: Mapping,
    person: PersonFrames,
    epochs: int,
    measured_epochs: int = 0,
    jit_compile: bool = False,
    precision: str = "float32",
) -> dict:
    """Fine-tunes on `person` as `training.finetune` does, without its pictures and files.

    Args:
      learned: with its discriminator; not changed.
      content: feature networks of the content loss.
      person: T frames.
      epochs: that few-shot learning takes.
      measured_epochs: of them that are timed, after one more that traces, or two more where an
        epoch is one step: the second step, too, takes longer than all others. 0: all.
      jit_compile: compiles the training step with XLA.
      precision: of the activations.

    Returns:
      `of_epochs`'s figures; "batch_size" and "steps_an_epoch"; "embed_seconds" (ê_NEW of eq. 7);
      "prepare_seconds" (the person's networks and optimisers are made); "seconds": ê_NEW and all
      epochs, without what is prepared and traced.
    """
    learned.embed_person(person.frames, person.landmarks)  # operations prepare themselves in the first call of a shape
    start = time.perf_counter()
    embedding = learned.embed_person(person.frames, person.landmarks)
    embedded = time.perf_counter()
    model = PersonalModel(learned, embedding, content, precision=precision)
    model.compile(jit_compile=jit_compile or None)
    prepared = time.perf_counter()
    batch_size = learned.config.finetune.batch_size
    photos = photo_dataset(person, batch_size, 0, model.generator_optimizer.iterations)
    batches = [len(batch["frames"]) for batch in photos]
    clock = EpochClock(f"FT({len(person)})")
    timed = timed_epochs(epochs, measured_epochs)
    warm_up = 1 if len(batches) > 1 else 2
    model.fit(photos, epochs=warm_up + timed, verbose=0, callbacks=[clock])
    model = clock.model = None  # before the next person's takes as much memory
    gc.collect()
    figures = of_epochs(clock.seconds, epochs, warm_up)
    figures["seconds"] += embedded - start
    return figures | {
        "batch_size": max(batches),
        "steps_an_epoch": len(batches),
        "embed_seconds": embedded - start,
        "prepare_seconds": prepared - embedded,
    }


def timed_epochs(epochs: int, measured: int) -> int:
    """How many of `epochs` are timed; 0 measured ones mean all."""
    return min(measured or epochs, epochs)


def of_epochs(seconds: Sequence[float], epochs: int, warm_up: int = 1) -> dict:
    """What all epochs take, from the times of the first ones.

    Args:
      seconds: of the epochs that trace and warm up, then of at least one as all others are.
      epochs: that few-shot learning takes.
      warm_up: how many of `seconds` are of the first kind.

    Returns:
      "seconds" of `epochs` epochs without tracing; "epoch_seconds", the mean of one; "epochs";
      "timed_epochs"; "extrapolated", whether these are fewer; "trace_seconds", by which the
      warming up took longer than as many other epochs.
    """
    first, others = seconds[:warm_up], seconds[warm_up:]
    mean = sum(others) / len(others)
    return {
        "seconds": mean * epochs,
        "epoch_seconds": mean,
        "epochs": epochs,
        "timed_epochs": len(others),
        "extrapolated": len(others) < epochs,
        "trace_seconds": max(sum(first) - warm_up * mean, 0.0),
    }


class EpochClock(keras.callbacks.Callback):
    """`seconds` of each epoch, from the end of the one before; a GPU has finished by then."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name
        self.seconds: list[float] = []

    def on_train_begin(self, logs=None):
        self._last = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.model.w.numpy()  # waits for the step's last updates, which no logged value needs
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
        logging.info("%s: epoch %d of %d: %.2f s", self._name, epoch + 1, self.params["epochs"], self.seconds[-1])
