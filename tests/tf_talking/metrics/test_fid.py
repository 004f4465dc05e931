"""FID beside scipy's matrix root, Inception's features beside the same network in PyTorch."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
import torch

from tf_talking.metrics import fid, registry
from tf_talking.metrics.inception import FEATURES, SIZE, load_inception


def by_sqrtm(a, b) -> float:
    """The usual formula, with scipy's root of the product."""
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb).real
    difference = a.mean(0) - b.mean(0)
    return difference @ difference + np.trace(ca + cb - 2 * root)


def correlated(rows, seed, shift=0.0):
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(24, 24))
    return (generator.normal(size=(rows, 24)) @ mixing + shift).astype(np.float32)


@pytest.mark.parametrize("rows", [200, 12])  # 12: fewer than features, singular covariances
def test_frechet_distance_equals_the_matrix_root(rows):
    a, b = correlated(rows, 0).astype(float), correlated(rows, 1, 0.5).astype(float)
    ours = fid.frechet_distance(*fid.feature_statistics(a), *fid.feature_statistics(b))
    assert ours == pytest.approx(by_sqrtm(a, b), rel=1e-6 if rows == 200 else 1e-4)


def test_frechet_distance_by_hand():
    """Of diagonal covariances: Σ (m − m')² + (s − s')²."""
    a = (np.array([1.0, 2.0]), np.diag([4.0, 9.0]))
    b = (np.array([0.0, 4.0]), np.diag([1.0, 25.0]))
    assert fid.frechet_distance(*a, *b) == pytest.approx(1 + 4 + 1 + 4)
    assert fid.frechet_distance(*a, *a) == pytest.approx(0.0, abs=1e-12)


def test_small_sets_are_biased_upwards_as_the_docstring_says():
    few, many = (
        fid.frechet_distance(*fid.feature_statistics(correlated(n, 2)), *fid.feature_statistics(correlated(n, 3)))
        for n in (40, 4000)
    )
    assert few > 20 * many > 0


def test_bad_features_are_named():
    with pytest.raises(ValueError, match="N >= 2"):
        fid.feature_statistics(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        fid.feature_statistics(np.full((3, 3), np.nan))


class TorchInception:
    """The published graph up to `mixed_7`, written out on the arrays of the file."""

    def __init__(self, path):
        with np.load(path) as file:
            self.arrays = {k: torch.from_numpy(file[k].astype(np.float32)) for k in file.files}

    def conv(self, x, name, stride=1, padding="same"):
        kernel = self.arrays[f"{name}/kernel"].permute(3, 2, 0, 1)
        bias = self.arrays[f"{name}/bias"]
        return torch.relu(torch.nn.functional.conv2d(x, kernel, bias, stride, padding))

    def tower(self, x, block, *names):
        for name in names:
            x = self.conv(x, f"{block}_{name}")
        return x

    def pooled(self, x):
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def __call__(self, x):
        pool = torch.nn.functional.max_pool2d
        x = self.conv(x, "conv", 2, "valid")
        x = self.conv(self.conv(x, "conv_1", padding="valid"), "conv_2")
        x = self.conv(self.conv(pool(x, 3, 2), "conv_3", padding="valid"), "conv_4", 1, "valid")
        x = pool(x, 3, 2)
        for block in ("mixed", "mixed_1", "mixed_2"):
            x = torch.cat(
                [
                    self.tower(x, block, "conv"),
                    self.tower(x, block, "tower_conv", "tower_conv_1"),
                    self.tower(x, block, "tower_1_conv", "tower_1_conv_1", "tower_1_conv_2"),
                    self.tower(self.pooled(x), block, "tower_2_conv"),
                ],
                1,
            )
        inner = self.tower(x, "mixed_3", "tower_conv", "tower_conv_1")
        x = torch.cat(
            [
                self.conv(x, "mixed_3_conv", 2, "valid"),
                self.conv(inner, "mixed_3_tower_conv_2", 2, "valid"),
                pool(x, 3, 2),
            ],
            1,
        )
        for block in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
            x = torch.cat(
                [
                    self.tower(x, block, "conv"),
                    self.tower(x, block, "tower_conv", "tower_conv_1", "tower_conv_2"),
                    self.tower(x, block, *(f"tower_1_conv{n}" for n in ("", "_1", "_2", "_3", "_4"))),
                    self.tower(self.pooled(x), block, "tower_2_conv"),
                ],
                1,
            )
        return x.mean((2, 3))


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Kernel (HWIO) of each convolution of the published graph up to `mixed_7`."""

    def tower(name, channels, *layers):  # (height, width, filters) of each
        for number, (height, width, filters) in enumerate(layers):
            end = f"_{number}" if number else ""
            shapes[f"{name}{end}"] = (height, width, channels, filters)
            channels = filters

    shapes: dict[str, tuple[int, ...]] = {}
    tower("conv", 3, (3, 3, 32), (3, 3, 32), (3, 3, 64), (1, 1, 80), (3, 3, 192))
    for block, channels, pooled in (("mixed", 192, 32), ("mixed_1", 256, 64), ("mixed_2", 288, 64)):
        tower(f"{block}_conv", channels, (1, 1, 64))
        tower(f"{block}_tower_conv", channels, (1, 1, 48), (5, 5, 64))
        tower(f"{block}_tower_1_conv", channels, (1, 1, 64), (3, 3, 96), (3, 3, 96))
        tower(f"{block}_tower_2_conv", channels, (1, 1, pooled))
    tower("mixed_3_conv", 288, (3, 3, 384))
    tower("mixed_3_tower_conv", 288, (1, 1, 64), (3, 3, 96), (3, 3, 96))
    for block, n in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        tower(f"{block}_conv", 768, (1, 1, 192))
        tower(f"{block}_tower_conv", 768, (1, 1, n), (1, 7, n), (7, 1, 192))
        tower(f"{block}_tower_1_conv", 768, (1, 1, n), (7, 1, n), (1, 7, n), (7, 1, n), (1, 7, 192))
        tower(f"{block}_tower_2_conv", 768, (1, 1, 192))
    return shapes


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """The published layout with random weights: names, shapes and the graph are what is tested."""
    generator, arrays = np.random.default_rng(4), {}
    for name, shape in published_shapes().items():
        kernel = generator.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[:-1]))
        arrays[f"{name}/kernel"] = kernel.astype(np.float16)
        arrays[f"{name}/bias"] = generator.normal(0, 0.1, shape[-1]).astype(np.float32)
    path = tmp_path_factory.mktemp("weights") / "inception.npz"
    np.savez(path, **arrays)
    return path


def test_inception_features_equal_pytorch(inception_file):
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    frames = tf.image.resize(frames, [64, 64], "bicubic").numpy().clip(0, 255).astype(np.uint8)
    features = load_inception(inception_file, batch_size=1)
    ours = features(frames)
    assert ours.shape == (2, FEATURES) and ours.max() > 0.5
    images = torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(images, (SIZE, SIZE), mode="bilinear")
    with torch.no_grad():
        expected = TorchInception(inception_file)((resized - 128) / 128).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
    value = registry.measure("fid", frames, frames[::-1].copy(), features=features)
    assert (value.n, value.missing) == (2, 0) and value.value == pytest.approx(0.0, abs=1e-3)


def test_file_of_another_kind_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.npz"):
        load_inception(tmp_path / "no.npz")
    np.savez(tmp_path / "other.npz", **{"conv/kernel": np.zeros((1, 1)), "conv/bias": np.zeros(1)})
    with pytest.raises(ValueError, match="other.npz: layer missing: conv_1/kernel"):
        load_inception(tmp_path / "other.npz")
