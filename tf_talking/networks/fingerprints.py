"""The fingerprint of a network: which weights these are, whatever file they came from.

A person's ψ fits the generator with P that it was made for, and no other of the same config; ê fits
the embedder. So people's cards, exported models and bundles carry the fingerprints of both. They
are taken of float16, which a bundle holds: a run and its bundle have the same.
"""

import hashlib

import numpy as np

from tf_talking.networks.variable_keys import variables_by_key


def fingerprint(network) -> str:
    """64 hexadecimal digits over names, shapes and values of all variables of a network."""
    digest = hashlib.sha256()
    for key, variable in sorted(variables_by_key(network).items()):
        with np.errstate(over="ignore"):
            value = variable.numpy().astype(np.float16)
        digest.update(f"{key} {list(value.shape)}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
