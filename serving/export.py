"""Exports a run for TF Serving: `python -m serving.export --checkpoint RUN --output DIR`.

Writes new versions of the models `embedder` and `generator`, both under one number, and
models.config. Ends with an error, and writes neither, where anything in the checkpoint is
unmatched. Cards of other weights do not fit the new version: clients refuse them, or use the
version that they fit while it is served; `serving.reproject` renews what can be renewed.
"""

import pathlib

import numpy as np
from absl import flags, logging

from tf_talking import program

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "checkpoint",
        None,
        "A shipped model's name, a bundle, a run folder of meta_train, or a checkpoint prefix.",
        required=True,
    )
    flags.DEFINE_string("output", None, "Serving folder; created, or a new version added.", required=True)
    flags.DEFINE_string("base_path", None, "What the server calls that folder, e.g. /models.")
    flags.DEFINE_integer("jpeg_quality", 95, "Of the frames that `animate` returns.", lower_bound=1, upper_bound=100)
    flags.DEFINE_enum(
        "device",
        "cpu",
        ["cpu", "gpu"],
        "What the server computes on: a graph for CPUs draws the frames of a batch one after the "
        "other, one for GPUs all at once.",
    )
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16", "float16"],
        "Of the generator's activations. bfloat16 for CPUs with avx512_bf16 or amx, float16 for "
        "GPUs; the PSNR to float32 is printed and recorded.",
    )


def export(
    checkpoint: str,
    output: str,
    base_path: str | None = None,
    jpeg_quality: int = 95,
    device: str = "cpu",
    dtype: str = "float32",
) -> list[pathlib.Path]:
    """Returns the two version folders. Raises ValueError (CheckpointMismatch among them)."""
    from tf_talking.networks.meta_checkpoint import load_meta_learned
    from tf_talking.procedural.samples import sample_face
    from tf_talking.served.folder import ServingFolder
    from tf_talking.served.graphs import read_metadata, save_embedder, save_generator

    # With the discriminator: a checkpoint that fine-tuning could not use is not a good one.
    learned = load_meta_learned(checkpoint, with_discriminator=True)
    config = learned.config
    folder = ServingFolder(output, base_path)

    def sample_adain_params() -> np.ndarray:
        """ψ̂ of one painted person [1, L]: what a precision is measured with."""
        return learned.project(learned.embed(*(x[None, None] for x in sample_face(config)))).numpy()

    written = folder.publish_together(
        {
            "embedder": lambda path: save_embedder(path, config, learned.embedder, learned.generator, device),
            "generator": lambda path: save_generator(
                path,
                config,
                learned.generator,
                jpeg_quality,
                device,
                dtype,
                None if dtype == "float32" else sample_adain_params(),
            ),
        }
    )
    logging.info("step %d of %s exported", learned.step, learned.checkpoint)
    facts = read_metadata(written["generator"])
    if "psnr_to_float32" in facts:
        logging.info("PSNR of %s to float32: %.2f dB", dtype, facts["psnr_to_float32"])
    return [written["embedder"], written["generator"]]


def main(argv: list[str]) -> str:
    """Returns the paths of both versions, a line each."""
    written = export(FLAGS.checkpoint, FLAGS.output, FLAGS.base_path, FLAGS.jpeg_quality, FLAGS.device, FLAGS.dtype)
    return "\n".join(map(str, written))


if __name__ == "__main__":
    program.run(main, define_flags)
