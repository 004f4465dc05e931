"""Keras callbacks of the fine-tuning job that show and save it; they work in anyone's own `fit`."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_talking.media.photos import write_png


class PreviewPictures(keras.callbacks.Callback):
    """Writes a picture of the model's output as PNG, and to TensorBoard where asked to.

    Args:
      directory: gets epoch_0000.png (before training), epoch_0010.png, …
      draw: model → uint8 RGB [H, W, 3].
      every: epochs between pictures; the last epoch always gets one.
      tensorboard: log folder for the same pictures, or None.
    """

    def __init__(
        self,
        directory: str | pathlib.Path,
        draw: Callable[[keras.Model], np.ndarray],
        every: int = 10,
        tensorboard: str | pathlib.Path | None = None,
    ):
        super().__init__()
        self._directory, self._draw, self._every = pathlib.Path(directory), draw, every
        self._writer = tf.summary.create_file_writer(str(tensorboard)) if tensorboard else None
        self._written = self._epochs = -1

    def on_train_begin(self, logs=None):
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write(0)

    def on_epoch_end(self, epoch, logs=None):
        self._epochs = epoch + 1
        if self._epochs % self._every == 0:
            self._write(self._epochs)

    def on_train_end(self, logs=None):
        if self._epochs > self._written:
            self._write(self._epochs)
        if self._writer:
            self._writer.close()

    def _write(self, epochs: int) -> None:
        picture = self._draw(self.model)
        path = self._directory / f"epoch_{epochs:04d}.png"
        write_png(path, picture)
        if self._writer:
            with self._writer.as_default(step=epochs):
                tf.summary.image("preview", picture[np.newaxis])
        self._written = epochs


class BackupEvery(keras.callbacks.BackupAndRestore):
    """Keras' backup, so that a killed `fit` goes on, but not after each epoch.

    Weights, optimisers and epoch are restored; the backup is deleted when `fit` ends. Stands
    last among the callbacks: then what others write in the end is there before the deletion.

    Args:
      backup_dir: see `keras.callbacks.BackupAndRestore`.
      every: epochs between backups.
    """

    def __init__(self, backup_dir: str | pathlib.Path, every: int):
        super().__init__(str(backup_dir))
        self._every = every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every == 0:
            super().on_epoch_end(epoch, logs)
