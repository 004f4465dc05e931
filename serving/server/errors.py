"""One exception for everything that a request can be refused with.

TensorFlow's error codes and gRPC's status codes share their numbers, so that an error of a
session's run keeps its code on the way out.
"""

import grpc
import tensorflow as tf

# TensorFlow Serving cuts messages here (gRPC carries them in a header of limited size).
_MESSAGE_LIMIT = 1024
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Python's session adds these to TensorFlow's own message.
_PYTHON_PREFIX = "Graph execution error:\n\n"
_PYTHON_SUFFIX = "\n\nOriginal stack trace for"


class ServingError(Exception):
    """A refusal: gRPC status code and message."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """INVALID_ARGUMENT with that message."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def from_exception(error: Exception) -> ServingError:
    """The refusal that an exception of TensorFlow or Python stands for."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        message = (error.message or "").removeprefix(_PYTHON_PREFIX)
        message = message.split(_PYTHON_SUFFIX)[0]
        return ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), message)
    return ServingError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")


def without_frames(error: BaseException) -> BaseException:
    """The error, letting go of the frames that it came through, as do those it came from.

    A frame knows its request, the request its future, the future its error: such a circle would
    hold the bytes of every refused request until the garbage collector's rarest round.
    """
    seen = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return error


def clipped(message: str) -> str:
    """The message, cut as TensorFlow Serving cuts it."""
    if len(message) <= _MESSAGE_LIMIT:
        return message
    return message[:_MESSAGE_LIMIT] + "...TRUNCATED"
