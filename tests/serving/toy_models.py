"""Toy SavedModels of the served contract, built with plain TensorFlow, and their models.config.

`python -m tests.serving.toy_models DIR` writes them into a folder that is new, for a TensorFlow
Serving that the conformance suite is to be run against: start it with
`--model_config_file=DIR/models.config`, then run the tests with TF_SERVING_ADDRESS=HOST:PORT. DIR
must be at the same place for the server. `conformance_in_docker.sh` does this.
"""

import pathlib
import sys

import tensorflow as tf

SIZE = 64  # S
POINTS = 68
ADAIN = 6  # L
EMBEDDING = 4  # N


class ToyGenerator(tf.Module):
    """Background of the first three ψ values less `shade`, a bright pixel at every landmark."""

    def __init__(self, shade=0):
        super().__init__()
        self.shade = shade

    def render(self, landmark_images, adain_params):
        background = tf.reshape(adain_params[:, :3], [-1, 1, 1, 3]) - self.shade
        frames = tf.cast(landmark_images, tf.float32) + background
        return {"frames": tf.cast(tf.clip_by_value(frames, 0.0, 255.0), tf.uint8)}

    def animate(self, landmarks, adain_params):
        rows = tf.range(tf.shape(landmarks)[0])
        corners = tf.cast(tf.clip_by_value(tf.round(landmarks), 0, SIZE - 1), tf.int32)
        indices = tf.stack([tf.repeat(rows[:, None], POINTS, 1), corners[..., 1], corners[..., 0]], -1)
        canvas = tf.scatter_nd(
            tf.reshape(indices, [-1, 3]), tf.fill([tf.size(rows) * POINTS], 255), [tf.size(rows), SIZE, SIZE]
        )
        images = tf.repeat(tf.minimum(canvas, 255)[..., None], 3, -1)
        frames = self.render(tf.cast(images, tf.uint8), adain_params)["frames"]
        encode = lambda frame: tf.io.encode_jpeg(frame, quality=100, chroma_downsampling=False)  # noqa: E731
        return {"frames_jpeg": tf.map_fn(encode, frames, fn_output_signature=tf.string)}

    def animate_bytes(self, landmarks, adain_params):
        return {"frames_jpeg_bytes": self.animate(landmarks, adain_params)["frames_jpeg"]}


class ToyEmbedder(tf.Module):
    """Means of the frames; rows stay apart."""

    def embed(self, frames, landmarks):
        colour = tf.reduce_mean(tf.cast(frames, tf.float32), [1, 2, 3])
        place = tf.reduce_mean(landmarks, [1, 2])
        return {"embedding": tf.concat([colour, place[:, :1]], 1), "adain_params": tf.concat([colour, colour], 1)}


class ToyDecoder(tf.Module):
    """JPEG bytes in, mean brightness out."""

    def decode(self, image_bytes):
        def mean(data):
            return tf.reduce_mean(tf.cast(tf.io.decode_jpeg(data, channels=3), tf.float32))

        return {"mean": tf.map_fn(mean, image_bytes, fn_output_signature=tf.float32)}


class Gate(tf.Module):
    """Answers with its number once the file `path` exists: a request as long as a test needs.

    Writes `path.reached` when it begins to wait.
    """

    def __init__(self, number):
        super().__init__()
        self.number = tf.Variable(number)

    def wait(self, path):
        with tf.control_dependencies([tf.io.write_file(path[0] + ".reached", "")]):
            start = tf.identity(0)  # the loops of other requests may have all threads

        def shut(step):
            unchanged = tf.strings.substr(tf.strings.as_string(step), 0, 0)  # no loop invariant
            return tf.equal(tf.size(tf.io.matching_files(path[0] + unchanged)), 0)

        (steps,) = tf.while_loop(shut, lambda step: [step + 1], [start])
        # Without a use of the result the loop would be pruned.
        return {"number": tf.fill([tf.size(path)], self.number + tf.minimum(steps, 0))}


def spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name)


def save(module, path, **signatures):
    """Writes `path/saved_model.pb` with the named methods' signatures."""
    functions = {
        name: tf.function(method).get_concrete_function(*specs) for name, (method, specs) in signatures.items()
    }
    tf.saved_model.save(module, str(path), signatures=functions)


def save_gate(path, number):
    gate = Gate(number)
    save(gate, path, serving_default=(gate.wait, [spec([None], tf.string, "path")]))


def save_generator(path, fingerprint="", shade=0):
    """Version with a fingerprint, as exported ones have it, or from before there were any."""
    toy = ToyGenerator(shade)
    tell = lambda rows: {f"sha256_{fingerprint}": tf.fill(tf.shape(rows), fingerprint)}  # noqa: E731
    more = {"fingerprint": (tell, [spec([None], tf.int32, "rows")])} if fingerprint else {}
    adain = spec([None, ADAIN], tf.float32, "adain_params")
    landmarks = spec([None, POINTS, 2], tf.float32, "landmarks")
    save(
        toy,
        path,
        serving_default=(toy.render, [spec([None, SIZE, SIZE, 3], tf.uint8, "landmark_images"), adain]),
        animate=(toy.animate, [landmarks, adain]),
        animate_bytes=(toy.animate_bytes, [landmarks, adain]),
        **more,
    )


def save_embedder(path):
    toy = ToyEmbedder()
    frames = spec([None, None, SIZE, SIZE, 3], tf.uint8, "frames")
    landmarks = spec([None, None, POINTS, 2], tf.float32, "landmarks")
    save(toy, path, serving_default=(toy.embed, [frames, landmarks]))


def save_decoder(path):
    toy = ToyDecoder()
    save(toy, path, serving_default=(toy.decode, [spec([None], tf.string, "image_bytes")]))


def config_text(models: dict[str, pathlib.Path], **extra: str) -> str:
    """A models.config; `extra` adds lines to the entry of a model."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {extra.get(name, "")} }}\n'
        for name, path in models.items()
    )
    return f"model_config_list {{\n{entries}}}\n"


def save_all(folder: pathlib.Path) -> pathlib.Path:
    """Version 1 of each toy model, and `models.config`, whose path is returned."""
    save_generator(folder / "generator" / "1")
    save_embedder(folder / "embedder" / "1")
    save_decoder(folder / "decoder" / "1")
    config = folder / "models.config"
    config.write_text(config_text({n: folder / n for n in ("generator", "embedder", "decoder")}))
    return config


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"expected one argument, the folder to be written, got {sys.argv[1:]}")
    print(save_all(pathlib.Path(sys.argv[1]).resolve()))
