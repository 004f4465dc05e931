"""Spectral normalisation as a base class for layers with one kernel (Miyato et al. 2018).

Conventions:
  * The kernel [..., out] is read as a matrix [rows, out]. Its largest singular value is
    estimated as σ = v·K·u with unit vectors u [out] and v [rows] kept between steps.
  * The layer uses K / σ. u and v are constants for the gradient; K is not, so the gradient flows
    through σ too: d(K/σ)/dK, not dK/σ.
  * `power_iteration()` is called once an optimisation step by the training loop, not once a call:
    a network that runs three times in a step keeps one σ, and inference never changes it.
  * Kernel, σ and K/σ are float32 whatever the type of the activations.
"""

import math

import keras
import tensorflow as tf

from tf_talking.layers.input_typed import InputTypedLayer

_EPSILON = 1e-12  # only a kernel of zeros comes near it
_WARM_UP_ITERATIONS = 15  # for a fresh kernel; afterwards one a step follows it


def singular_value(matrix, u, v) -> tf.Tensor:
    """σ ≈ v·K·u of K [rows, out], float32 scalar; its gradient flows into K alone."""
    # Two matrix-vector products cost less memory traffic than the kernel's own division.
    return tf.reduce_sum(tf.stop_gradient(v) * tf.linalg.matvec(matrix, tf.stop_gradient(u)))


def _unit(x: tf.Tensor) -> tf.Tensor:
    return x * tf.math.rsqrt(tf.reduce_sum(tf.square(x)) + _EPSILON)


class SpectralNorm(InputTypedLayer):
    """Base class: `_build_kernel` in `build`, `normalized_kernel()` in `call`.

    Another base: `_build_vectors` for a matrix that `_matrix` names, and `sigma()`.

    Args:
      spectral_norm: False gives the plain layer.

    Reference: paper section 3.4, "spectral normalization for all convolutional and fully
    connected layers".
    """

    def __init__(self, spectral_norm: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.spectral_norm = spectral_norm

    def _build_kernel(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform", trainable=True)
        if self.spectral_norm:
            self._build_vectors(math.prod(shape[:-1]), shape[-1])

    def _build_vectors(self, rows: int, out: int) -> None:
        # Assigned in replica context from mirrored values: every replica computes the same.
        vector = dict(
            initializer="random_normal", trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self.u = self.add_weight(name="u", shape=(out,), **vector)
        self.v = self.add_weight(name="v", shape=(rows,), **vector)
        # With random u and v, σ would be near 0 and the first outputs thousands of times too big.
        with tf.init_scope():
            self.power_iteration(_WARM_UP_ITERATIONS)

    def _matrix(self) -> tf.Tensor:
        return tf.reshape(self.kernel, [-1, self.kernel.shape[-1]])

    def sigma(self) -> tf.Tensor:
        """Estimate of the kernel's largest singular value, float32 scalar, differentiable."""
        return singular_value(self._matrix(), self.u, self.v)

    def normalized_kernel(self) -> tf.Tensor:
        """K / σ, or K where spectral norm is off; float32, of the kernel's shape."""
        kernel = tf.convert_to_tensor(self.kernel)
        return kernel / self.sigma() if self.spectral_norm else kernel

    def power_iteration(self, iterations: int = 1) -> None:
        """Moves u and v towards the leading singular vectors. No gradient."""
        if not self.spectral_norm:
            return
        matrix = tf.stop_gradient(self._matrix())
        u = tf.convert_to_tensor(self.u)
        for _ in range(iterations):
            v = _unit(tf.linalg.matvec(matrix, u))
            u = _unit(tf.linalg.matvec(matrix, v, transpose_a=True))
        self.u.assign(u)
        self.v.assign(v)


def spectral_layers(model: keras.layers.Layer) -> list[SpectralNorm]:
    """Every layer of `model`, at any depth, whose kernel or matrix is spectrally normalised."""
    found = [m for m in model.submodules if isinstance(m, SpectralNorm) and m.spectral_norm]
    return sorted(found, key=lambda layer: layer.u.name)


def power_iteration(model: keras.layers.Layer, iterations: int = 1) -> None:
    """One step of power iteration for every spectrally normalised layer of `model`."""
    for layer in spectral_layers(model):
        layer.power_iteration(iterations)
