"""Log-linear language models: constraints, fits, and the n-gram they become."""

from itertools import pairwise

from muybridge.language.maxent import LogLinear, ngram_templates
from muybridge.language.maxent_train import fit_gis


def test_smoke() -> None:
    model = LogLinear.of([0, 1, 2, 0, 1, 1, 0], 3, ngram_templates(2), observed=False)
    trace = fit_gis(model, 20).log_likelihoods
    assert all(b >= a - 1e-12 for a, b in pairwise(trace))
