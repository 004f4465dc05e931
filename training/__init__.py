"""Programs that train, and rooms with what only they need."""

import tf_talking  # noqa: F401  before TensorFlow, which its settings are for
