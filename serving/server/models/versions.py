"""States and labels of all versions of all models, and the requests that hold them.

START, LOADING, AVAILABLE, UNLOADING, END: TensorFlow Serving's states. A request holds the version
it runs on; an unloading version is freed when the last request lets go of it, by a thread of its
own, so that no answer waits for that. Of versions that have come to their END only the newest
are remembered. Every method may be called from any thread.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator

import grpc
from absl import logging
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from serving.server.errors import ServingError, clipped, invalid_argument
from serving.server.models.servable import Servable

_REMEMBERED = 16  # ended versions of a model
State = get_model_status_pb2.ModelVersionStatus.State


@dataclasses.dataclass
class Version:
    """What is known of one version of one model."""

    state: int = State.LOADING
    error: ServingError | None = None
    servable: Servable | None = None
    tried: bool = True  # False: may be loaded (again) when asked for


class VersionTable:
    """Versions by model name and number."""

    def __init__(self):
        self._changed = threading.Condition()
        self._models: dict[str, dict[int, Version]] = {}
        self._labels: dict[str, dict[str, int]] = {}

    def names(self) -> list[str]:
        """Models of which any version has been seen."""
        with self._changed:
            return list(self._models)

    def numbers(self, name: str, state: int) -> set[int]:
        """Versions of a model that are in a state."""
        with self._changed:
            versions = self._models.get(name, {})
            return {number for number, entry in versions.items() if entry.state == state}

    def states(self) -> list[tuple[str, int, str]]:
        """(model, version, name of the state) of all that is known."""
        with self._changed:
            return [
                (name, number, State.Name(entry.state))
                for name, versions in self._models.items()
                for number, entry in versions.items()
            ]

    def untried(self, name: str, numbers: set[int]) -> set[int]:
        """Those of `numbers` that are new, or have ended and may be loaded again."""
        with self._changed:
            versions = self._models.get(name, {})
            return {
                number
                for number in numbers
                if number not in versions or (versions[number].state == State.END and not versions[number].tried)
            }

    def forget_failures(self, name: str, keep: set[int] = frozenset()) -> None:
        """Lets ended versions, except `keep`, be loaded again when they are asked for."""
        with self._changed:
            for number, entry in self._models.get(name, {}).items():
                if entry.state == State.END and number not in keep:
                    entry.tried = False

    def begin(self, name: str, number: int) -> None:
        """The version is LOADING."""
        with self._changed:
            self._models.setdefault(name, {})[number] = Version()
            self._changed.notify_all()

    def finish(self, name: str, number: int, result: Servable | ServingError) -> None:
        """The version is AVAILABLE, or has come to its END with an error."""
        with self._changed:
            entry = self._models[name][number]
            if isinstance(result, ServingError):
                entry.state, entry.error = State.END, result
            else:
                entry.state, entry.servable = State.AVAILABLE, result
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Ends the computations of all requests with CANCELLED."""
        with self._changed:
            held = [
                entry.servable
                for versions in self._models.values()
                for entry in versions.values()
                if entry.servable is not None and entry.servable.refs
            ]
        for servable in held:
            servable.interrupt()

    def unload(self, name: str, number: int) -> None:
        """No new request gets this version; it is freed now if nobody holds it."""
        with self._changed:
            entry = self._models[name][number]
            entry.state = State.UNLOADING
            idle = entry.servable.refs == 0
            self._changed.notify_all()
        if idle:
            self._free(name, number, entry)

    def label(self, labels: dict[str, dict[str, int]], allow_unavailable: bool) -> None:
        """Takes over the labels of all models: model -> label -> version.

        Args:
          allow_unavailable: a version need not be available, unless that would move a label.

        Raises:
          ServingError: FAILED_PRECONDITION for a version that is not available; nothing changed.
        """
        with self._changed:
            for name, versions in labels.items():
                available = self.numbers(name, State.AVAILABLE)
                for label, version in versions.items():
                    moved = self._labels.get(name, {}).get(label, version) != version
                    if version in available or (allow_unavailable and not moved):
                        continue
                    raise ServingError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {name}, "
                        "which is not currently available for inference",
                    )
            self._labels = labels

    @contextlib.contextmanager
    def hold(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """The version that a request asks for, kept loaded inside the block.

        Raises:
          ServingError: INVALID_ARGUMENT without a name or with an unknown label, NOT_FOUND when
            no such version is available.
        """
        name = spec.name
        if not name:
            raise invalid_argument("ModelSpec has no name specified.")
        with self._changed:
            number = self._requested(spec)
            ready = {
                n: entry
                for n, entry in self._models.get(name, {}).items()
                if entry.state == State.AVAILABLE and number in (None, n)
            }
            if not ready:
                request = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise _not_found(f"Servable not found for request: {request}")
            entry = ready[max(ready)]
            servable = entry.servable
            servable.refs += 1
        try:
            yield servable
        finally:
            with self._changed:
                servable.refs -= 1
                last = servable.refs == 0 and entry.state == State.UNLOADING
            if last:
                arguments = (name, servable.version, entry)
                threading.Thread(target=self._free, args=arguments, name="unload").start()

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """State of one version, or of all versions of a model, newest first.

        Raises:
          ServingError: NOT_FOUND when nothing is known of it.
        """
        response = get_model_status_pb2.GetModelStatusResponse()
        name = spec.name
        with self._changed:
            number = self._requested(spec)
            versions = self._models.get(name, {})
            if number is not None and number not in versions:
                raise _not_found(f"Could not find version {number} of model {name}")
            if not versions:
                raise _not_found(f"Could not find any versions of model {name}")
            for n in sorted(versions, reverse=True) if number is None else [number]:
                entry = versions[n]
                answer = response.model_version_status.add(version=n, state=entry.state)
                answer.status.SetInParent()
                if entry.error is not None:
                    answer.status.error_code = entry.error.code.value[0]
                    answer.status.error_message = clipped(entry.error.message)
        return response

    def wait_until_available(self, names: set[str], cancelled: Callable[[], bool]) -> bool:
        """Waits until each model has an available version; waits on while one has no version.

        Returns:
          False when `cancelled`, asked ten times a second, said so first.

        Raises:
          ServingError: UNKNOWN, listing the models all of whose versions failed.
        """
        with self._changed:
            while not cancelled():
                outcomes = [self._outcome(name) for name in sorted(names)]
                if all(outcomes):
                    break
                self._changed.wait(0.1)
            else:
                return False
        failed = [text for text in outcomes if text != "available"]
        if failed:
            listed = "".join(f"{{{text}}}, " for text in failed)
            raise ServingError(
                grpc.StatusCode.UNKNOWN, f"{len(failed)} model(s) did not become available: {{{listed}}}"
            )
        return True

    def _requested(self, spec: model_pb2.ModelSpec) -> int | None:
        """The version's number; None: the newest. Raises ServingError for an unknown label."""
        choice = spec.WhichOneof("version_choice")
        if choice != "version_label":
            return spec.version.value if choice else None
        version = self._labels.get(spec.name, {}).get(spec.version_label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
        return version

    def _outcome(self, name: str) -> str | None:
        """ "available", the errors if all versions failed, or None: not known yet."""
        current = {n: e for n, e in self._models.get(name, {}).items() if e.tried}
        if any(entry.state == State.AVAILABLE for entry in current.values()):
            return "available"
        if not current or any(entry.error is None for entry in current.values()):
            return None
        return "; ".join(
            f"{{name: {name} version: {number}}} due to error: {entry.error}" for number, entry in current.items()
        )

    def _free(self, name: str, number: int, entry: Version) -> None:
        entry.servable.close()
        with self._changed:
            entry.servable, entry.state, entry.tried = None, State.END, False
            versions = self._models[name]
            ended = sorted(n for n, e in versions.items() if e.state == State.END and not e.error)
            for old in ended[:-_REMEMBERED]:
                del versions[old]
            self._changed.notify_all()
        logging.info("Unloaded {name: %s version: %d}", name, number)


def _not_found(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.NOT_FOUND, message)
