"""The folder that a server reads: model versions, models.config and person cards.

    models.config            text proto ModelServerConfig, as TF Serving reads it
    embedder/1/              SavedModels, one folder a version
    generator/1/
    person_ann/1/            a fine-tuned person's own generator
    people/ann.npz           person cards

A version appears under its number only when it is whole: a server polling the folder never loads
half of one. models.config and cards are replaced in one go too.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tf_talking import files
from tf_talking.people.names import check_name


class ServingFolder:
    """Adds versions and cards.

    Args:
      path: the folder, created when something is published.
      base_path: what models.config calls this folder, where the server sees it elsewhere (for
        example /models in a container). Default: what its entries call it already, or the absolute
        path.
    """

    def __init__(self, path: str | os.PathLike, base_path: str | None = None):
        self.path = pathlib.Path(path).absolute()
        self.base_path = base_path
        self.models_config = self.path / "models.config"

    def card_path(self, person: str) -> pathlib.Path:
        """Where the card of `person` lies."""
        return self.path / "people" / f"{check_name(person)}.npz"

    def versions(self, model: str) -> list[int]:
        """Version numbers of `model` that are there, in order."""
        folder = self.path / check_name(model)
        if not folder.is_dir():
            return []
        return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit() and p.is_dir())

    def publish(self, model: str, write: Callable[[pathlib.Path], None]) -> pathlib.Path:
        """Calls `write` with an empty path, then makes the result the newest version of `model`.

        Returns the version's folder. Where `write` fails, nothing is left behind.
        """
        return self.publish_together({model: write})[model]

    def publish_together(self, models: dict[str, Callable[[pathlib.Path], None]]) -> dict[str, pathlib.Path]:
        """`publish` for models that belong together: all of them, under one number, or none.

        Killed between two renames, the first models (so the embedder, not the generator) have a
        number that the others lack: cards made then fit no generator and are refused, until the
        next call gives all of them one number above it.
        """
        temporary, published = {}, {}
        try:
            for model, write in models.items():
                folder = self.path / check_name(model)
                folder.mkdir(parents=True, exist_ok=True)
                # Beside the versions, so that the rename stays on one file system; not a number,
                # so that no server takes it for a version.
                temporary[model] = files.temporary_beside(folder / "model")
                write(temporary[model])
            with self._locked():
                number = max((max(self.versions(model), default=0) for model in models), default=0) + 1
                try:
                    for model, path in temporary.items():
                        os.rename(path, self.path / model / str(number))
                        published[model] = self.path / model / str(number)
                    self._register(models)
                except BaseException:
                    for model, path in published.items():
                        os.rename(path, temporary[model])  # from there it is removed
                    raise
        finally:
            for path in temporary.values():
                shutil.rmtree(path, ignore_errors=True)
        return published

    @contextlib.contextmanager
    def _locked(self):
        """One writer at a time: several people may be fine-tuned at once."""
        with open(self.path / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _register(self, models: Iterable[str]) -> None:
        config = self.read_models_config()
        listed = config.model_config_list.config
        names = {entry.name for entry in listed}
        new = [model for model in models if model not in names]
        if not new:
            return
        # A person added later, by another program, has to lie where the server sees the others.
        known = [
            entry.base_path.removesuffix(f"/{entry.name}")
            for entry in listed
            if entry.base_path.endswith(f"/{entry.name}")
        ]
        base_path = self.base_path or (known[-1] if known else str(self.path))
        for model in new:
            listed.add(name=model, base_path=f"{base_path.rstrip('/')}/{model}", model_platform="tensorflow")
        files.write_whole(self.models_config, text_format.MessageToString(config))

    def read_models_config(self) -> model_server_config_pb2.ModelServerConfig:
        """Parses models.config; empty where there is none. Raises ValueError naming the file."""
        config = model_server_config_pb2.ModelServerConfig()
        if self.models_config.exists():
            try:
                text_format.Parse(self.models_config.read_text(), config)
            except text_format.ParseError as error:
                raise ValueError(f"{self.models_config}: {error}") from error
        return config
