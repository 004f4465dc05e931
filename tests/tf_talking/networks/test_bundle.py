"""A bundle holds the networks of its checkpoint, and says what is wrong where it does not."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from serving.export import export
from tf_talking.networks import bundle
from tf_talking.networks.bundle import BundleError, find_bundle, load_bundle, read_bundle_facts, write_bundle
from tf_talking.networks.meta_checkpoint import load_meta_learned
from training.meta.step import MetaTrainer


@pytest.fixture(scope="module")
def learned(nano_config, tmp_path_factory):
    trainer = MetaTrainer(nano_config, 5, dict, tf.distribute.get_strategy())
    trainer.step.assign(12)
    prefix = trainer.checkpoint.write(str(tmp_path_factory.mktemp("run") / "ckpt-12"))
    return load_meta_learned(prefix, with_discriminator=True)


@pytest.fixture(scope="module")
def path(learned, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "nano.tft"
    write_bundle(path, learned, {"num_videos": 5})
    return path


def test_loaded_networks_are_those_of_the_checkpoint_in_float16(learned, path):
    loaded = load_meta_learned(path, with_discriminator=True)
    assert (loaded.config, loaded.step) == (learned.config, 12)
    head = learned.discriminator.head
    pairs = [(learned.embedder, loaded.embedder), (learned.generator, loaded.generator)]
    pairs.append((learned.discriminator.features, loaded.discriminator.features))
    variables = [pair for a, b in pairs for pair in zip(a.weights, b.weights, strict=True)]
    variables += [(head.w0, loaded.discriminator.head.w0), (head.bias, loaded.discriminator.head.bias)]
    for before, after in variables:
        assert after.dtype == tf.float32
        np.testing.assert_array_equal(after, before.numpy().astype(np.float16))
    assert loaded.discriminator.head.w.shape[0] == 1  # W belongs to the run's videos


def test_a_normalised_w_stays_behind_with_its_sigma(nano_config, tmp_path):
    model = dataclasses.replace(nano_config.model, spectral_norm_on_w=True)
    trainer = MetaTrainer(dataclasses.replace(nano_config, model=model), 5, dict, tf.distribute.get_strategy())
    learned = load_meta_learned(trainer.checkpoint.write(str(tmp_path / "ckpt-1")), with_discriminator=True)
    write_bundle(tmp_path / "fsth.tft", learned)
    loaded = load_bundle(tmp_path / "fsth.tft").discriminator.head
    w0 = learned.discriminator.head.common_vector()
    assert float(tf.norm(w0)) == pytest.approx(1.0)
    np.testing.assert_allclose(loaded.common_vector(), w0, atol=1e-3)


def test_says_what_it_is_and_the_same_weights_make_the_same_file(learned, path, tmp_path):
    facts = read_bundle_facts(path)
    assert (facts["step"], facts["num_videos"], facts["config"]["name"]) == (12, 5, "nano")
    write_bundle(tmp_path / "again.tft", learned, {"num_videos": 5})
    assert (tmp_path / "again.tft").read_bytes() == path.read_bytes()


def test_is_exported_as_a_checkpoint_is(path, tmp_path):
    export(str(path), str(tmp_path / "serving"))
    assert (tmp_path / "serving/generator/1/saved_model.pb").is_file()


def test_fingerprints_are_those_of_the_networks_whatever_file_they_come_from(path, learned):
    loaded, facts = load_bundle(path), bundle.read_bundle_facts(path)
    assert loaded.fingerprints == learned.fingerprints == facts["networks"]
    weight = loaded.generator.trainable_weights[0]
    weight.assign(1.01 * weight + 0.01)
    again = dataclasses.replace(loaded).fingerprints
    assert again["fingerprint"] != learned.fingerprints["fingerprint"]
    assert again["embedder_fingerprint"] == learned.fingerprints["embedder_fingerprint"]


def test_a_shipped_model_is_found_by_its_name(path, tmp_path, monkeypatch):
    (tmp_path / "models/nano").mkdir(parents=True)
    shipped = tmp_path / "models/nano/nano.tft"
    shipped.write_bytes(path.read_bytes())
    monkeypatch.setattr(bundle, "_MODELS", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("nano") == shipped
    assert find_bundle("other") is None and find_bundle("runs/nano") is None
    (tmp_path / "nano").mkdir()  # a run folder of that name comes first
    assert find_bundle("nano") is None


def rewrite(path, target, name: str, change) -> None:
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as copy:
        for member in archive.namelist():
            data = archive.read(member)
            data = change(data) if member == name else data
            if data is not None:
                copy.writestr(member, data)


def with_version(data: bytes) -> bytes:
    return json.dumps(json.loads(data) | {"version": 9}).encode()


def with_first_weight_changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "member, change, message",
    [
        ("bundle.json", with_version, "of version 9, this program reads 1"),
        ("bundle.json", lambda data: None, "not a bundle"),
        ("bundle.json", lambda data: b"{", "not a bundle"),
        ("discriminator/head/w0.npy", lambda data: None, "damaged bundle .*head/w0"),
        ("discriminator/head/w0.npy", lambda data: data[:20], "damaged bundle"),
        ("discriminator/head/w0.npy", with_first_weight_changed, "another fingerprint"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(path, tmp_path, member, change, message):
    wrong = tmp_path / "wrong.tft"
    rewrite(path, wrong, member, change)
    with pytest.raises(BundleError, match=f"wrong.tft: .*{message}"):
        load_bundle(wrong)


def test_foreign_and_cut_files_are_refused(path, tmp_path):
    for name, data in (("text.tft", b"hello"), ("cut.tft", path.read_bytes()[:-50])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BundleError, match=f"{name}: not a bundle"):
            load_meta_learned(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nobody.tft"):
        load_meta_learned(tmp_path / "nobody.tft")


def test_weights_that_float16_can_not_hold_are_refused(learned, tmp_path):
    weight = learned.embedder.trainable_weights[0]
    before = weight.numpy()
    weight.assign(np.full(before.shape, 1e6, np.float32))
    try:
        with pytest.raises(ValueError, match="not finite in float16"):
            write_bundle(tmp_path / "big.tft", learned)
    finally:
        weight.assign(before)
    assert not (tmp_path / "big.tft").exists()
