"""The face cut out of a frame by its landmarks, for VGGFace: what the authors' later release does.

The paper does not say what VGGFace sees; `losses.face_crop` chooses the whole frame or this.
"""

import keras
import tensorflow as tf

from tf_talking.content.alignment import look_up

# Of the height from the bridge of the nose to the chin.
_ABOVE, _BELOW = 0.47, 0.2
_BRIDGE, _CHIN = 27, 8  # iBUG


def face_squares(landmarks: tf.Tensor) -> tf.Tensor:
    """Squares round the faces, from brow to under the chin.

    Args:
      landmarks: float32 [B, P, 2], (x, y) in pixels, pixel centres at integers.

    Returns:
      float32 [B, 3]: left, top, side in pixels, pixel i covering i … i + 1.
    """
    points = landmarks[:, :68] + 0.5
    bridge, chin = points[:, _BRIDGE, 1], points[:, _CHIN, 1]
    height = tf.maximum(chin - bridge, 1.0)  # of a face upside down too
    side = (1.0 + _ABOVE + _BELOW) * height
    middle = (tf.reduce_min(points[..., 0], axis=1) + tf.reduce_max(points[..., 0], axis=1)) / 2.0
    return tf.stack([middle - side / 2.0, bridge - _ABOVE * height, side], axis=1)


def cut_out_faces(frames: tf.Tensor, landmarks: tf.Tensor) -> tf.Tensor:
    """Faces at the size of the frame, by bilinear look-up; what lies outside is mirrored in.

    Args:
      frames: [B, S, S, 3].
      landmarks: float32 [B, P, 2], (x, y) in pixels of the frames.

    Returns:
      [B, S, S, 3] in the frames' range and type; its gradient goes to the frames alone.
    """
    size = frames.shape[1]
    left, top, side = tf.split(tf.stop_gradient(face_squares(tf.cast(landmarks, tf.float32))), 3, axis=1)
    places = (tf.range(size, dtype=tf.float32)[tf.newaxis] + 0.5) / size

    def inside(x):
        """Mirrored at the frame's edges, then as a pixel's centre."""
        return tf.clip_by_value(size - tf.abs(x % (2 * size) - size) - 0.5, 0.0, size - 1.0)

    x, y = inside(left + places * side), inside(top + places * side)
    shape = [tf.shape(frames)[0], size, size]
    x, y = tf.broadcast_to(x[:, tf.newaxis], shape), tf.broadcast_to(y[:, :, tf.newaxis], shape)
    return look_up(frames, x, y)


class FaceCutOut:
    """A feature network on faces that are cut out by their landmarks.

    Args:
      model: [B, S, S, 3] in [-1, 1] → list of activations.
    """

    def __init__(self, model: keras.Model):
        self.model = model

    def __call__(self, images: tf.Tensor, landmarks: tf.Tensor) -> list[tf.Tensor]:
        """RGB float32 [B, S, S, 3] in [-1, 1], landmarks [B, P, 2] → activations, shallow first."""
        return list(self.model(cut_out_faces(images, landmarks), training=False))
