import cv2
import numpy as np
import pytest
import skimage.metrics

from tests.scripted_detector import ScriptedDetector
from tf_talking.metrics import registry


@pytest.fixture
def frames():
    """Smooth real frames and noisy, shifted fakes, uint8 [3, 40, 52, 3]."""
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (3, 40, 52, 3), dtype=np.uint8)
    real = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in real])
    noise = rng.normal(0, [[[[5]]], [[[20]]], [[[60]]]], real.shape)
    fake = np.clip(real + noise, 0, 255).astype(np.uint8)
    return real, fake


def test_ssim_equals_scikit_image(frames):
    real, fake = frames
    expected = [
        skimage.metrics.structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1
        )
        for a, b in zip(real, fake, strict=True)
    ]
    values = registry.compute_frames("ssim", real, fake)
    np.testing.assert_allclose(values, expected, atol=1e-9)
    assert values[0] > values[1] > values[2]


def test_psnr_equals_scikit_image(frames):
    real, fake = frames
    expected = [skimage.metrics.peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(real, fake, strict=True)]
    np.testing.assert_allclose(registry.compute_frames("psnr", real, fake), expected)


def test_l1_of_the_face_is_that_of_the_box_round_it():
    real = np.zeros((3, 20, 30, 3), np.uint8)
    fake = real.copy()
    fake[:, 5:11, 10:21] = 51  # 0.2
    landmarks = np.array([[(10.0, 5.0), (20.0, 10.0)], [(10.4, 5.4), (25.5, 9.6)], [(40, 2)] * 2])
    values = registry.compute_frames("face_l1", real, fake, landmarks=landmarks)
    # Rows 5 to 10; columns 10 to 20, then 10 to 26; beside the frame.
    np.testing.assert_allclose(values, [0.2, 0.2 * 11 / 17, np.nan])
    shifted = landmarks[:1] - (14, 7)  # cut off at the corner
    assert registry.compute("face_l1", real[:1], fake[:1], landmarks=shifted) == 0.0
    assert registry.measure("face_l1", real, fake, landmarks=landmarks).missing == 1
    with pytest.raises(ValueError, match="face_l1: got 3 landmarks for 2 frames"):
        registry.compute("face_l1", real[:2], fake[:2], landmarks=landmarks)


def test_l1_by_hand():
    real = np.zeros((2, 4, 4, 3), np.uint8)
    fake = real.copy()
    fake[0, 0, 0] = (255, 0, 51)  # 1.2 of 48 values
    values = registry.compute_frames("l1", real, fake)
    np.testing.assert_allclose(values, [1.2 / 48, 0.0])
    assert registry.compute("l1", real, fake) == pytest.approx(0.6 / 48)


def test_equal_frames(frames):
    real, _ = frames
    assert registry.compute("l1", real, real) == 0.0
    assert registry.compute("ssim", real, real) == pytest.approx(1.0)
    assert registry.compute("psnr", real, real) == np.inf


def test_one_frame_is_a_batch_of_one(frames):
    real, fake = frames
    for name in ("l1", "psnr", "ssim"):
        assert registry.compute(name, real[1], fake[1]) == pytest.approx(registry.compute_frames(name, real, fake)[1])


def test_direction_is_recorded():
    assert not registry.get("l1").higher_is_better
    assert registry.get("ssim").higher_is_better


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((4, 4, 3)), np.zeros((4, 4, 3)), "float64"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8), "equal shapes"),
        (np.zeros((0, 4, 4, 3), np.uint8), np.zeros((0, 4, 4, 3), np.uint8), "at least one"),
    ],
)
def test_bad_frames_are_named(real, fake, message):
    with pytest.raises(ValueError, match=message):
        registry.compute("l1", real, fake)


def test_small_frames_have_no_ssim():
    small = np.zeros((10, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="20 x 10 pixels"):
        registry.compute("ssim", small, small)


def test_unknown_and_taken_names():
    with pytest.raises(ValueError, match=r"unknown metric 'sharpness'.*'l1', .*'psnr', 'ssim'"):
        registry.get("sharpness")
    registry.names()
    with pytest.raises(ValueError, match="registered already"):
        registry.register("l1", higher_is_better=False)(lambda real, fake: real)


def test_flicker_by_hand(frames):
    real, _ = frames
    dark = (real // 2).astype(np.uint8)
    shifted = dark + np.uint8(40)  # the same error in all frames
    assert registry.compute("flicker", dark, shifted) == 0.0
    shifted[1] += np.uint8(10)  # comes and goes: two changes by 10
    assert registry.compute("flicker", dark, shifted) == pytest.approx(10 / 255)
    with pytest.raises(ValueError, match="at least 2"):
        registry.compute("flicker", dark[:1], dark[:1])
    with pytest.raises(ValueError, match="not one a frame"):
        registry.compute_frames("flicker", dark, dark)


def test_landmark_error_by_hand_counts_lost_faces_apart(frames):
    real, fake = frames
    driven = np.random.default_rng(1).uniform(5, 35, (3, 68, 2)).astype(np.float32)
    driven[:, 36], driven[:, 45] = (10, 20), (30, 20)  # 20 pixels between the eyes
    found = [driven[0], driven[1] + np.float32([3, 4]), "no face"]
    given = {"detector": ScriptedDetector.in_order(found), "landmarks": driven}
    values = registry.compute_frames("landmark_error", real, fake, **given)
    np.testing.assert_allclose(values, [0.0, 5 / 20, np.nan], atol=1e-6)
    result = registry.measure("landmark_error", real, fake, **given)
    assert (result.n, result.missing) == (2, 1)
    assert result.value == pytest.approx(0.125)
    given["detector"] = ScriptedDetector.in_order(["no face"])
    nobody = registry.measure("landmark_error", real, fake, **given)
    assert np.isnan(nobody.value) and (nobody.n, nobody.missing) == (0, 3)


def test_what_a_metric_needs_is_named(frames):
    real, fake = frames
    with pytest.raises(ValueError, match=r"csim: got \[\], expected \['landmarks', 'recogniser'\]"):
        registry.compute("csim", real, fake)
    with pytest.raises(ValueError, match=r"l1: got \['network'\], expected \[\]"):
        registry.compute("l1", real, fake, network=None)
