"""Export, servers and clients.

The image of the embedded server has this package alone: the setting of `tf_talking` once more.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
