"""The Keras callbacks of the fine-tuning job, by the name that users import them under."""

from training.finetuning.callbacks import PreviewPictures
from training.finetuning.publish import ExportForServing, PersonToServe

__all__ = ["ExportForServing", "PersonToServe", "PreviewPictures"]
