"""tensorflow-addons, imported without the end-of-life banner it prints on every import.

Used for InstanceNormalization (G's down blocks) and LazyAdam (rows of W); BUILD_NOTES.md says why.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_addons as tfa

InstanceNormalization = tfa.layers.InstanceNormalization
LazyAdam = tfa.optimizers.LazyAdam
