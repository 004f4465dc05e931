"""How faces are aligned for a recogniser: five points in 112 x 112 pixels. No TensorFlow."""

import numpy as np

SIDE = 112  # pixels
# Left and right eye in the picture, nose tip, mouth corners.
TEMPLATE = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)])
