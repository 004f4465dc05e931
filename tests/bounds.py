"""How far two float32 computations of the same thing may be apart, on any CPU.

Bounds are derived from what is computed and never chosen by what one CPU happens to give:

    from tests import bounds

    bounds.assert_close(ours, theirs, terms=9 * 512, depth=20)         # outputs of a network
    bounds.assert_close(ours, theirs, fraction=bounds.GRADIENT)        # gradients through a step
    bounds.assert_same_training(ours, theirs, {"generator": 5e-5})     # trainers after updates

**Sums.** float32 rounds to 24 bits: each operation is off by at most u = 2^-24 = 6e-8 of its
result. Kernels (Eigen, oneDNN for AVX2 or AVX-512, XLA), replicas, workers and parts of a batch
differ by the order in which n terms are added. A partial sum is no larger than about the largest
values around it, errors are as often up as down, so two orders differ by about √n·u of the
*largest magnitude of the tensor* - not of each element: an element that is small because its
terms cancel carries the error of the terms. L layers after one another add up alike: √(n·L)·u.
`SAFETY` times that is allowed.

**Kinks.** ReLU, L1 and hinge have gradients with jumps. Among the 10^5 to 10^6 activations of a
step a few lie within rounding of zero; each that falls to the other side adds or drops one of the
n terms of a sum over batch and pixels: 1/n of the gradient. `gradient_fraction` allows for four.

**Cancelled sums.** A gradient that is zero by mathematics (a bias in front of an instance norm, the
bias of attention's keys) is rounding alone. Its n terms are about 1/√n of the largest gradients of
the same pass, and √n·u of a term, L layers deep, is √L·u of those: `FLOOR` times the largest
magnitude of all that was computed together is allowed.

**Adam** divides a gradient by its own size: an element whose gradient is mostly rounding moves
anywhere within ± the learning rate, while the tensor's mean does not. So gradients are compared
through the optimisers' moments (m and √v), where a factor (mean for sum) is seen too, and weights
by the mean difference as well as by the largest.

Faults are far outside: half a batch lost, or used twice, or a mean for a sum, changes gradients by
tens of percent (`tests/test_bounds.py`). Where program, machine and order are the same, nothing
of this applies: `np.testing.assert_array_equal`.
"""

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

UNIT = 2.0**-24
SAFETY = 4.0
_MOMENTS = re.compile(r"(?P<optimizer>\w*optimizer)/(?P<moment>[mv])(/|$)")


def sum_fraction(terms: int, depth: int = 1) -> float:
    """Share of the largest magnitude by which sums in another order may differ.

    Args:
      terms: n, what one value is a sum of: 9 x channels of a 3x3 convolution, batch x pixels of the
        gradient of its kernel.
      depth: L, such sums after one another.
    """
    return SAFETY * (terms * depth) ** 0.5 * UNIT


FLOOR = sum_fraction(1, depth=60)  # 1.8e-6


def least_psnr(dtype: str, depth: int = 20) -> float:
    """dB that frames of a generator in a 16-bit type keep at least to those in float32.

    Sums are taken in float32, so a layer's outputs are rounded once, to half a unit in the last of
    8 (bfloat16) or 11 bits (float16): √L·u of the range of the frames after L layers. An error
    that is no rounding (a kernel of another layer, a shift in ψ lost) leaves 10 to 20 dB.
    """
    unit = {"bfloat16": 2.0**-9, "float16": 2.0**-12}[dtype]
    return -20.0 * np.log10(SAFETY * depth**0.5 * unit)


def gradient_fraction(terms: int, depth: int, kinks: int = 4) -> float:
    """The same for gradients through `depth` layers, `kinks` activations on the other side."""
    return sum_fraction(terms, depth) + kinks / terms


# One training step of the small networks of these tests: 4 pictures of 32 x 32; E, G, D and back.
GRADIENT = gradient_fraction(4 * 32 * 32, depth=60)  # 1.1e-3
# Outputs of the `tiny` networks: 3x3 convolutions of up to 128 channels.
NETWORK = sum_fraction(9 * 128, depth=20)  # 3.6e-5
# What is computed from weights alone: power iteration, averages.
WEIGHTS = sum_fraction(9 * 16, depth=2)  # 4e-6


def assert_close(
    ours,
    theirs,
    *,
    fraction: float | None = None,
    terms: int = 0,
    depth: int = 1,
    scale: float = 0.0,
    absolute: float = 0.0,
    name: str = "",
) -> None:
    """Fails where an element differs by more than a share of the largest magnitude.

    Args:
      ours: what is tested.
      theirs: what it is compared with, of the same shape.
      fraction: that share; default: `sum_fraction(terms, depth)`.
      terms: see `sum_fraction`.
      depth: see `sum_fraction`.
      scale: largest magnitude of all that was computed together, where sums may cancel.
      absolute: what else is allowed, in the tensor's own unit.
      name: of the tensor, for the message.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"{name}: {ours.shape}, expected {theirs.shape}"
    fraction = sum_fraction(terms, depth) if fraction is None else fraction
    largest = float(np.abs(theirs).max(initial=0.0))
    np.testing.assert_allclose(
        ours,
        theirs,
        rtol=0.0,
        atol=fraction * largest + FLOOR * scale + absolute,
        err_msg=f"{name}: allowed are {fraction:.1e} of the largest magnitude, {largest:.3g}",
    )


def variables_of(root) -> dict[str, np.ndarray]:
    """Name → value of every variable below a trackable object, named as in its checkpoint."""
    found, seen = {}, set()

    def walk(trackable, path):
        if id(trackable) in seen:
            return
        seen.add(id(trackable))
        if isinstance(trackable, tf.Variable):
            found["/".join(path)] = trackable.numpy()
        for name, child in tf.train.TrackableView.children(trackable).items():
            walk(child, (*path, name))

    walk(root, ())
    return found


def assert_same_training(ours, theirs, steps: Mapping[str, float], fraction: float = GRADIENT) -> None:
    """Two states that training reached by sums in another order.

    Args:
      ours: trackable object (`trainer.checkpoint`), or name → value of its variables.
      theirs: likewise.
      steps: first part of a variable's name → the most by which the optimiser can have moved it:
        learning rate x updates. Variables of other names have been computed, not trained.
      fraction: of gradients.
    """
    ours, theirs = (v if isinstance(v, Mapping) else variables_of(v) for v in (ours, theirs))
    assert sorted(ours) == sorted(theirs)
    largest = _largest_gradients(theirs)
    for name, value in ours.items():
        other, moment = theirs[name], _MOMENTS.search(name)
        if np.asarray(other).dtype.kind != "f":
            assert value == other, name
        elif moment:
            if moment["moment"] == "v":
                value, other = np.sqrt(value), np.sqrt(other)
            scale = largest[moment["optimizer"], moment["moment"]]
            assert_close(value, other, fraction=fraction, scale=scale, name=name)
        else:
            _assert_same_weights(value, other, steps.get(name.split("/")[0], 0.0), name)


def adam_steps(train, count: int = 1) -> dict[str, float]:
    """`steps` of a `TrainConfig`, after `count` training steps with meta_train's networks."""
    step = count * train.learning_rate
    average = (1 - train.ema_decay) * step
    return {
        "embedder": step,
        "generator": step,
        "discriminator": count * train.discriminator_steps * train.discriminator_learning_rate,
        "ema_embedder": average,
        "ema_generator": average,
    }


def _largest_gradients(values: Mapping[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """(optimizer, "m" or "v") → largest |m| or √v of its variables."""
    found: dict[tuple[str, str], float] = {}
    for name, value in values.items():
        if moment := _MOMENTS.search(name):
            size = float(np.abs(value).max(initial=0.0))
            size = size**0.5 if moment["moment"] == "v" else size
            key = moment["optimizer"], moment["moment"]
            found[key] = max(found.get(key, 0.0), size)
    return found


def _assert_same_weights(value, other, step: float, name: str) -> None:
    """Single elements may have moved either way, the tensor's mean by a twentieth of a step."""
    assert_close(value, other, fraction=WEIGHTS, absolute=2 * step, name=name)
    if step:
        mean = float(np.abs(value - other).mean())
        allowed = step / 20 + WEIGHTS * float(np.abs(other).max(initial=0.0))
        assert mean <= allowed, f"{name}: {mean:.1e} apart on average, allowed are {allowed:.1e}"
