"""Flags that the programs with a client share: which server, how to reach it, which person."""

import dataclasses
import os
import pathlib

from absl import flags

from serving.client.channels import TlsOptions
from serving.client.frame_requests import choice_of
from serving.client.messages import ModelChoice
from tf_talking.landmarks.follow import STARTS
from tf_talking.media.video_writer import check_path
from tf_talking.people.card import PersonCard
from tf_talking.people.registry import PersonRegistry

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Server:
    """Where a server is and how to speak TLS to it; None: plain text."""

    target: str
    tls: TlsOptions | None


def define_server_flags() -> None:
    """--server and --tls*. Only when run as a program."""
    flags.DEFINE_string(
        "server",
        "localhost:8500",
        "HOST:PORT of the model server; several with commas between them, or dns:///SERVICE:PORT, share the requests.",
    )
    flags.DEFINE_bool("tls", False, "Speak TLS; implied by the flags below.")
    flags.DEFINE_string("tls_ca", None, "Root certificates (PEM); by default the system's.")
    flags.DEFINE_string("tls_cert", None, "The client's own certificate (PEM), with --tls_key.")
    flags.DEFINE_string("tls_key", None, "Its key (PEM).")
    flags.DEFINE_string("tls_server_name", None, "Name in the server's certificate, where --server has another.")


def define_person_flags(multiple: bool = False) -> None:
    """--person and --people. Only when run as a program."""
    define = flags.DEFINE_multi_string if multiple else flags.DEFINE_string
    text = "Person card (.npz), or with --people a name"
    define("person", None, text + ("; repeatable." if multiple else "."))
    flags.DEFINE_string("people", None, "Folder of person cards, `people` of a serving folder.")


def define_model_flags() -> None:
    """--model, --model_version and --model_label. Only when run as a program."""
    flags.DEFINE_string("model", None, "Served model; by default the one that the card names.")
    flags.DEFINE_integer(
        "model_version",
        None,
        "Number of the version that draws; by default the newest, or the newest that the card fits.",
        lower_bound=0,
    )
    flags.DEFINE_string("model_label", None, "Label of the version that draws, such as stable; not beside a number.")


def define_face_flag() -> None:
    """--face. Only when run as a program."""
    flags.DEFINE_enum(
        "face",
        None,
        STARTS,
        "Which of several faces drives (left, right: in the picture); it is then followed. By default the only one "
        "that there is at first.",
    )


def read_server() -> Server:
    """What --server and --tls* say. Raises ValueError where one is missing."""
    given = (FLAGS.tls_ca, FLAGS.tls_cert, FLAGS.tls_key, FLAGS.tls_server_name)
    return Server(FLAGS.server, TlsOptions(*given) if FLAGS.tls or any(given) else None)


def read_model(card: PersonCard) -> ModelChoice:
    """What --model, --model_version and --model_label say. Raises ValueError for both of these."""
    try:
        return choice_of(card, FLAGS.model, FLAGS.model_version, FLAGS.model_label)
    except ValueError as error:
        raise ValueError(f"--model_version and --model_label: {error}") from None


def load_person(person: str, people: str | None) -> tuple[PersonCard, pathlib.Path]:
    """The card that --person (and --people) mean, and its file.

    Raises:
      FileNotFoundError, ValueError: nobody of that name, no such file, no card.
    """
    if people is None or person.endswith(".npz") or os.sep in person:
        return PersonCard.load(person), pathlib.Path(person)
    registry = PersonRegistry(people)
    return registry.load(person), registry.path(person)


def check_output(output: str, driving: str | None) -> None:
    """Before the work begins: whether --output is the name of a video that can be written.

    Args:
      output: what --output says.
      driving: what drives, which --output may not replace; None: a camera.

    Raises:
      ValueError, FileNotFoundError: names --output.
    """
    try:
        check_path(output)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"--output {error}") from None
    if driving is not None and os.path.exists(output) and os.path.exists(driving) and os.path.samefile(output, driving):
        raise ValueError(f"--output {output}: is the file that drives; it would be replaced")
