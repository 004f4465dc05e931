"""Old name of `tf_talking.people.card`, kept for one release."""

from tf_talking.people.card import PersonCard

__all__ = ["PersonCard"]
