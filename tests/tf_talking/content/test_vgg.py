"""The two VGGs, their weight files and the factory."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.content import vgg
from tf_talking.content import weights as content_weights
from tf_talking.content.networks import build_content_networks

_SIZE = 32


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (2, _SIZE, _SIZE, 3)).astype(np.float32)


def _to_unit(frames):
    return tf.constant(frames / 127.5 - 1.0)


def _random_weights(spec):
    """Kernels and biases of a VGG's first 13 convolutions, as (Keras' name, kernel, bias)."""
    rng = np.random.default_rng(0)
    layers = []
    for conv in vgg.vgg_plan(spec, "all"):
        kernel = rng.standard_normal(conv.shape, np.float32) * np.float32(np.sqrt(2 / np.prod(conv.shape[:-1])))
        layers.append((conv.name, kernel, rng.normal(0, 0.1, conv.shape[-1]).astype(np.float32)))
    return layers


@pytest.fixture(scope="module")
def vgg19_npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg19.npz"
    layers = _random_weights(vgg.VGG19)
    parts = ("kernel", "bias")
    np.savez(path, **{f"{n}/{part}": array for n, *both in layers for part, array in zip(parts, both, strict=True)})
    return path


def _write_published_h5(path, layers):
    """The layout of Keras' `save_weights`, which the published files have."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _, _ in layers]
        for name, kernel, bias in layers:
            group = file.create_group(name)
            keys = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, (kernel, bias), strict=True):
                group.create_dataset(key, data=array)


@pytest.fixture(scope="module")
def vggface_h5(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / content_weights.VGGFACE_FILE.name
    layers = _random_weights(vgg.VGGFACE)
    _write_published_h5(path, [(name.replace("block", "conv").replace("_conv", "_"), *both) for name, *both in layers])
    return path


def _assert_equal_features(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max())


@pytest.mark.parametrize("layers", ["five", "all"])
def test_vgg19_equals_keras_applications(vgg19_npz, frames, layers):
    reference = keras.applications.VGG19(weights=None, include_top=False, input_shape=(_SIZE, _SIZE, 3))
    for name, *both in _random_weights(vgg.VGG19):
        reference.get_layer(name).set_weights(both)
    names = {"five": [f"block{b}_conv1" for b in range(1, 6)], "all": names_of(vgg.VGG19, "all")}[layers]
    model = keras.Model(reference.input, [reference.get_layer(name).output for name in names])
    expected = model(keras.applications.vgg19.preprocess_input(frames.copy()))

    network = build_content_networks(str(vgg19_npz), "none", vgg_layers=layers, image_size=_SIZE)["vgg19"]
    _assert_equal_features(network(_to_unit(frames)), expected)
    assert str(vgg19_npz) in network.weights_source and "sha256:" in network.weights_source


@pytest.mark.parametrize("layers", ["five", "all"])
def test_vggface_from_the_published_layout(vggface_h5, frames, layers):
    network = build_content_networks("none", "vggface", str(vggface_h5), vgg_layers=layers, image_size=_SIZE)["face"]

    reference = keras.applications.VGG16(weights=None, include_top=False, input_shape=(_SIZE, _SIZE, 3))
    convolutions = [x for x in reference.layers if isinstance(x, keras.layers.Conv2D)]
    for layer, (_, kernel, bias) in zip(convolutions, _random_weights(vgg.VGGFACE), strict=True):
        layer.set_weights([kernel, bias])
    if layers == "five":
        convolutions = [layer for layer in convolutions if layer.name.endswith("_conv1")]
    model = keras.Model(reference.input, [layer.output for layer in convolutions])
    bgr = frames[..., ::-1] - np.array([93.5940, 104.7624, 129.1863], np.float32)
    _assert_equal_features(network(_to_unit(frames)), model(bgr))


def test_auto_takes_the_file_in_keras_cache(vggface_h5, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    cached = content_weights.VGGFACE_FILE.cached_path
    assert cached.is_relative_to(tmp_path)
    cached.parent.mkdir(parents=True)
    cached.symlink_to(vggface_h5)
    network = build_content_networks(None, "vggface", "auto", image_size=_SIZE)["face"]
    assert str(cached) in network.weights_source


def names_of(spec, layers):
    return [conv.name for conv in vgg.vgg_plan(spec, layers)]


def test_depth_and_names():
    five = names_of(vgg.VGG19, "five")
    assert five[-1] == "block5_conv1" and len(five) == 13
    assert names_of(vgg.VGG19, "all") == five
    assert names_of(vgg.VGGFACE, "five")[-1] == "block5_conv1"
    assert names_of(vgg.VGGFACE, "all")[-1] == "block5_conv3"
    outputs = vgg.build_vgg(vgg.VGGFACE, 64).output_shape
    assert [shape[1:] for shape in outputs] == [(64, 64, 64), (32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 512)]


def test_average_pooling(frames):
    average = build_content_networks("random", "none", vgg_pooling="average", image_size=_SIZE)["vgg19"]
    largest = build_content_networks("random", "none", image_size=_SIZE)["vgg19"]
    a, b = average(_to_unit(frames)), largest(_to_unit(frames))
    np.testing.assert_allclose(a[0], b[0])  # nothing was pooled yet
    conv = average.model.get_layer("block1_conv2")(a[0])
    pooled = tf.reduce_mean(tf.reshape(conv, [2, _SIZE // 2, 2, _SIZE // 2, 2, 64]), axis=(2, 4))
    expected = average.model.get_layer("block2_conv1")(pooled)
    np.testing.assert_allclose(a[1], expected, rtol=1e-4, atol=1e-3)
    assert np.abs(a[1] - b[1]).max() > 1.0


def test_gradient_reaches_the_image_and_no_weight(frames):
    network = build_content_networks("random", "none", image_size=_SIZE)["vgg19"]
    image = tf.Variable(_to_unit(frames))
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_mean(feature) for feature in network(image)])
    gradient = tape.gradient(loss, image)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    assert network.model.trainable_variables == []


def test_random_is_seeded_and_logged(frames, caplog):
    first = build_content_networks("random", "none", image_size=_SIZE)["vgg19"]
    second = build_content_networks("random", "none", image_size=_SIZE)["vgg19"]
    assert first.weights_source == "random"
    assert "vgg19: RANDOM features" in caplog.text
    for a, b in zip(first(_to_unit(frames)), second(_to_unit(frames)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_off_is_not_built():
    assert build_content_networks(None, "none") == {}
    assert build_content_networks("none", "none") == {}


def test_missing_file_says_what_to_download_and_where_to_put_it(tmp_path):
    missing = tmp_path / "nowhere.h5"
    with pytest.raises(FileNotFoundError) as error:
        build_content_networks(str(missing), "none", image_size=_SIZE)
    message = str(error.value)
    for part in ("vgg19: no file at", str(missing), content_weights.VGG19_FILE.url, ".keras"):
        assert part in message


def test_download_takes_its_name_when_whole(vggface_h5, tmp_path, monkeypatch):
    published = content_weights.VGGFACE_FILE
    local = dataclasses.replace(published, url=vggface_h5.as_uri())  # the same file name
    monkeypatch.setenv("HOME", str(tmp_path))
    part = local.cached_path.with_name(local.name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"the rest of a download that was killed")
    path = content_weights.locate("auto", local, "face_weights")
    assert path == local.cached_path and not part.exists()
    assert path.read_bytes() == vggface_h5.read_bytes()

    damaged = dataclasses.replace(local, cache_subdir="other", md5="0" * 32)
    with pytest.raises(FileNotFoundError, match="download failed .*hash does not match"):
        content_weights.locate("auto", damaged, "face_weights")
    assert not damaged.cached_path.exists()


def test_failed_download_says_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    def fail(*args, **kwargs):
        raise Exception("URL fetch failure")  # what get_file raises

    monkeypatch.setattr(keras.utils, "get_file", fail)
    with pytest.raises(FileNotFoundError, match="face_weights: download failed.*rcmalli_vggface"):
        build_content_networks(None, "vggface", image_size=_SIZE)


def test_file_of_another_layout_names_file_and_layer(tmp_path):
    shapes = {"block1_conv1": (3, 3, 3, 64)}
    wrong_shape = tmp_path / "wrong_shape.npz"
    np.savez(wrong_shape, **{"block1_conv1/kernel": np.zeros((3, 3, 3, 32)), "block1_conv1/bias": np.zeros(32)})
    with pytest.raises(ValueError, match=r"wrong_shape.npz: layer block1_conv1: got shape"):
        content_weights.read_conv_weights(wrong_shape, shapes)
    np.savez(tmp_path / "empty.npz", other=np.zeros(1))
    with pytest.raises(ValueError, match=r"empty.npz: layer missing: .*block1_conv1/kernel"):
        content_weights.read_conv_weights(tmp_path / "empty.npz", shapes)
    _write_published_h5(tmp_path / "empty.h5", [])
    with pytest.raises(ValueError, match=r"empty.h5: layer missing: block1_conv1 \(or conv1_1"):
        content_weights.read_conv_weights(tmp_path / "empty.h5", shapes)


@pytest.mark.parametrize("name", ["broken.h5", "broken.npz"])
def test_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a weight file")
    with pytest.raises(ValueError, match=f"{name}: not a readable"):
        content_weights.read_conv_weights(tmp_path / name, {"block1_conv1": (3, 3, 3, 64)})


def test_other_kinds_of_file_are_refused(tmp_path):
    (tmp_path / "vgg19.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="vgg19.pth: expected a file ending in .h5 or .npz"):
        build_content_networks(str(tmp_path / "vgg19.pth"), "none", image_size=_SIZE)


def test_values_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "nan.npz"
    kernel = np.full((3, 3, 3, 64), np.nan)
    np.savez(path, **{"block1_conv1/kernel": kernel, "block1_conv1/bias": np.zeros(64)})
    with pytest.raises(ValueError, match="nan.npz: layer block1_conv1: .* not finite"):
        content_weights.read_conv_weights(path, {"block1_conv1": (3, 3, 3, 64)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"face": "arcface"}, "face_features: got 'arcface'"),
        ({"face": "none", "vgg_layers": "six"}, "vgg_layers: got 'six'"),
        ({"face": "none", "vgg_pooling": "median"}, "vgg_pooling: got 'median'"),
    ],
)
def test_unknown_choices_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_content_networks("random", image_size=_SIZE, **options)
