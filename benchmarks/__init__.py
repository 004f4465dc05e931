"""Programs that print every figure of the documentation."""

import tf_talking  # noqa: F401  before TensorFlow, which its settings are for
