"""The Transformer of 2017, encoder and decoder, learns to sort; then sorts what it never saw."""

import torch
from torch.nn import functional

from muybridge.language.encoder_decoder import EncoderDecoder, EncoderDecoderConfig

STEPS, START = 350, 0  # symbols to sort are 1 to 8

torch.manual_seed(0)
model = EncoderDecoder(
    EncoderDecoderConfig(vocabulary=9, width=32, layers=1, heads=4, inner_width=64, context=16)
)
optimiser = torch.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.98))
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=STEPS)
for step in range(STEPS):
    source = torch.randint(1, 9, (64, 6))
    wanted = source.sort(-1).values
    given = functional.pad(wanted[:, :-1], (1, 0), value=START)
    loss = functional.cross_entropy(model(source, given).flatten(0, 1), wanted.flatten())
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    schedule.step()
    if step % 50 == 49:
        print(f"step {step + 1:>3}: loss {loss.item():.4f}")

source = torch.randint(1, 9, (256, 6))
sorted_by_model = model.translate(source, START, 6)
right = (sorted_by_model == source.sort(-1).values).all(1)
print(f"{source[0].tolist()} -> {sorted_by_model[0].tolist()}")
print(f"{int(right.sum())} of 256 new texts sorted without a mistake")
