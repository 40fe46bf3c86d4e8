"""Write tests/parity/transformers.json: what Hugging Face transformers computes for tiny models.

    pip install torch==2.13.0 transformers==5.23.0
    PYTHONPATH=src:. python scripts/golden_transformers.py

The weights follow from each tensor's name and shape by integer arithmetic (`fill` in
tests/parity/tiny_models.py), so only names, shapes, some logits and gradient norms are stored.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from torch import nn

from muybridge.language.hf import config_to_hf
from tests.parity.tiny_models import TINY, fill, tokens

PLACE = Path(__file__).parents[1] / "tests" / "parity" / "transformers.json"
POSITIONS = (-1,)  # the last token has seen all others


def _model(data: dict[str, object]) -> nn.Module:
    config = transformers.AutoConfig.for_model(**data)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key != "lm_head.weight" or not config.tie_word_embeddings:
                tensor.copy_(fill(key, tensor.shape))
    return model.eval()


def _figures(data: dict[str, object]) -> dict[str, object]:
    model = _model(data)
    batch = tokens()
    logits = model(batch).logits
    targets = batch.roll(-1, dims=1)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    stored = logits[:, list(POSITIONS)].detach()
    return {
        "config": data,
        "shapes": {key: list(tensor.shape) for key, tensor in model.state_dict().items()},
        "logits": [round(float(x), 8) for x in stored.flatten()],
        "loss": float(loss),
        "gradient_norm": float(nn.utils.get_total_norm([p.grad for p in model.parameters()])),
    }


def main() -> None:
    """Run every family and write the file."""
    torch.set_num_threads(1)
    found: dict[str, object] = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    found["positions"] = POSITIONS
    for name, config in TINY.items():
        data = config_to_hf(config)
        if config.predictions:
            continue
        found[name] = _figures(data)
    PLACE.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
