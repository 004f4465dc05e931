"""Few-shot talking heads.

TensorFlow 2.15 computes with oneDNN by itself only on CPUs with AVX-512 VNNI, bfloat16 or AMX,
although it is faster on others too (docs/cpus.md). It asks once, when it is imported: whoever
imports this package first has it on. What the user has set stays.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
