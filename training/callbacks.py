"""The Keras callbacks of the fine-tuning job, by the name that users import them under."""

from training.finetuning.publish import ExportForServing, PersonToServe, PreviewPictures

__all__ = ["ExportForServing", "PersonToServe", "PreviewPictures"]
