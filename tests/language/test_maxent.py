"""Log-linear language models: constraints, fits, and the n-gram they become."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import minimize
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.language.decoder_folder import config_to_json, part_from_json
from muybridge.language.maxent import LogLinear, ngram_templates
from muybridge.language.maxent_hashed import HashedMaxent, MaxentConfig
from muybridge.language.maxent_train import Fit, fit_gis, fit_iis, fit_sgd

TEXT = np.random.default_rng(0).integers(0, 4, 200).tolist()
SKIPPING = ((), (1,), (2,), (1, 2))  # unigram, bigram, skip bigram, trigram
LONG = np.random.default_rng(0).integers(0, 4, 1500).tolist()
FITS = {"gis": fit_gis, "iis": fit_iis}


def _inside(tokens: list[int], templates: tuple[tuple[int, ...], ...]) -> LogLinear:
    """Without the histories that begin before the text: those occur once, which drives weights of
    the words after them to infinity, and then every fit converges as slowly as 1 / rounds."""
    model = LogLinear.of(tokens, 4, templates)
    kept = np.flatnonzero((model.histories < 4).all(axis=1))
    rows = (kept[:, None] * 4 + np.arange(4)).ravel()
    part = LogLinear(model.histories[kept], model.counts[kept], model.features[rows])
    return LogLinear(part.histories, part.counts, part.features[:, part.observed > 0])


def _slow_features(model: LogLinear, templates: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Observed counts of every feature, from the text's windows one by one."""
    counts: dict[tuple[object, ...], float] = {}
    for history, row in zip(model.histories.tolist(), model.counts, strict=True):
        for template in templates:
            for word, count in enumerate(row):
                key = (template, *(history[-lag] for lag in template), word)
                counts[key] = counts.get(key, 0.0) + count
    return np.array(sorted(c for c in counts.values() if c > 0))


def test_features_are_the_templates_pieces() -> None:
    model = LogLinear.of(TEXT, 4, SKIPPING)
    np.testing.assert_array_equal(np.sort(model.observed), _slow_features(model, SKIPPING))
    assert model.counts.sum() == len(TEXT)
    assert model.histories[-1].max() <= 4, "4 stands before the text"
    on = np.asarray(model.features.sum(axis=1)).reshape(model.counts.shape)
    assert (on[model.counts > 0] == len(SKIPPING)).all()


def test_the_gradient_is_observed_minus_expected() -> None:
    model = LogLinear.of(TEXT, 4, SKIPPING)
    weights = np.random.default_rng(1).normal(size=len(model.observed))
    step = 1e-6 * np.eye(len(weights))
    slopes = [
        (model.log_likelihood(weights + s) - model.log_likelihood(weights - s)) / 2e-6 for s in step
    ]
    np.testing.assert_allclose(model.gradient(weights), slopes, atol=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("fit", FITS)
def test_with_all_ngrams_it_is_the_ngram_of_relative_frequencies(fit: str, order: int) -> None:
    """No regulariser, all features: p(w | h) = count(h w) / count(h), zeros included."""
    model = LogLinear.of(TEXT, 4, ngram_templates(order), observed=False)
    found = np.exp(model.log_probabilities(FITS[fit](model, 400).weights))
    wanted = model.counts / model.counts.sum(axis=1, keepdims=True)
    assert order < 3 or (wanted == 0).any()
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def _climbs(fit: Fit) -> bool:
    return all(after >= before - 1e-12 for before, after in pairwise(fit.log_likelihoods))


@pytest.mark.parametrize("fit", FITS)
def test_scaling_climbs_until_expected_counts_are_observed(fit: str) -> None:
    model = _inside(LONG, SKIPPING)
    found = FITS[fit](model, 300)
    assert _climbs(found)
    assert found.log_likelihoods[-1] > found.log_likelihoods[0] + 0.01
    np.testing.assert_allclose(model.expected(found.weights), model.observed, rtol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_scaling_climbs_where_weights_go_to_infinity(fit: str) -> None:
    model = LogLinear.of(TEXT, 4, SKIPPING)
    found = FITS[fit](model, 300)
    assert _climbs(found)
    np.testing.assert_allclose(model.expected(found.weights), model.observed, atol=0.1)


def test_scaling_and_gradients_reach_the_same_top() -> None:
    """The likelihood is concave: one distribution at the top, whatever the way."""
    model = _inside(LONG, ((), (1,), (2,)))
    top = -minimize(
        lambda w: -model.log_likelihood(w),
        np.zeros(len(model.observed)),
        jac=lambda w: -model.gradient(w),
        options={"gtol": 1e-9},
    ).fun
    fits = (fit_gis(model, 200), fit_iis(model, 200), fit_sgd(model, 200, rate=4.0))
    chances = [np.exp(model.log_probabilities(fit.weights)) for fit in fits]
    for fit, error in zip(fits, (1e-9, 1e-9, 1e-4), strict=True):
        assert 0 <= top - fit.log_likelihoods[-1] + 1e-12 < error
    np.testing.assert_allclose(chances[0], chances[1], atol=1e-5)
    np.testing.assert_allclose(chances[0], chances[2], atol=2e-2)


def test_unequal_numbers_of_features_need_no_care_from_the_caller() -> None:
    """Real-valued features, a different number on everywhere: GIS's slack and IIS agree."""
    model = LogLinear.of(TEXT, 4, ((), (1,)))
    random = np.random.default_rng(2)
    shape = (model.counts.size, 5)
    some = sparse.csr_matrix(random.random(shape) * (random.random(shape) < 0.4))
    model = LogLinear(model.histories, model.counts, some)
    gis, iis = fit_gis(model, 5000), fit_iis(model, 500)
    assert _climbs(gis)
    assert _climbs(iis)
    np.testing.assert_allclose(model.expected(iis.weights), model.observed, rtol=1e-8)
    np.testing.assert_allclose(gis.weights, iis.weights, atol=1e-5)
    assert np.argmax(np.array(gis.log_likelihoods) > iis.log_likelihoods[-1] - 1e-6) > np.argmax(
        np.array(iis.log_likelihoods) > iis.log_likelihoods[-1] - 1e-6
    ), "IIS takes longer steps"


def test_a_prior_pulls_the_weights_in() -> None:
    model = LogLinear.of(TEXT, 4, ngram_templates(2))
    free, held = fit_sgd(model, 200), fit_sgd(model, 200, penalty=0.1)
    assert np.linalg.norm(held.weights) < 0.7 * np.linalg.norm(free.weights)
    # at the top of likelihood - penalty / 2 |w|^2 the gradient is penalty w
    np.testing.assert_allclose(model.gradient(held.weights), 0.1 * held.weights, atol=5e-3)


def test_it_says_what_is_wrong() -> None:
    with pytest.raises(InputError, match="expected tokens from 0 to 3"):
        LogLinear.of([0, 4], 4, ngram_templates(1))
    with pytest.raises(InputError, match="expected tokens from 0 to 3"):
        LogLinear.of([], 4, ngram_templates(1))
    model = LogLinear.of(TEXT, 4, ngram_templates(1))
    model.features.data[0] = -1.0
    with pytest.raises(InputError, match="expected features of 0 or more"):
        fit_gis(model)
    with pytest.raises(InputError, match="expected a power of two"):
        MaxentConfig(4, 8, rows=1000)


def test_hashed_rows_depend_on_the_last_tokens_alone() -> None:
    model = HashedMaxent(MaxentConfig(65, 16, order=3, rows=2**16))
    a, b = torch.randint(65, (1, 16)), torch.randint(65, (1, 16))
    b[0, 5:8] = a[0, 5:8]
    b[0, 4] = (a[0, 4] + 1) % 65
    rows_a, rows_b = model.rows(a)[0, 7], model.rows(b)[0, 7]
    assert torch.equal(rows_a, rows_b), "the last 1, 2 and 3 are alike"
    assert model.rows(a)[0, 6, 2] != model.rows(b)[0, 6, 2], "the third last differs"


def test_hashing_spreads_and_hardly_collides() -> None:
    pairs = torch.cartesian_prod(torch.arange(65), torch.arange(65))
    model = HashedMaxent(MaxentConfig(65, 2, order=2, rows=2**16))
    rows = model.rows(pairs)[:, 1]
    expected = 2**16 * (1 - (1 - 2.0**-16) ** 4225)  # distinct rows of a fair hash, bigrams alone
    assert abs(len(rows[:, 1].unique()) - expected) < 40
    assert len(rows[:, 0].unique()) == 65


def test_the_hashed_model_is_the_exact_one_where_nothing_collides() -> None:
    """Weights of the exact model, laid into the rows of the table, give the same probabilities."""
    exact = _inside(TEXT, ((), (1,), (1, 2)))
    model = HashedMaxent(MaxentConfig(4, 2, order=2, rows=2**16)).double()
    fit = fit_gis(exact, 20)
    part = [
        (exact.features[:, low:high] @ fit.weights[low:high]).reshape(exact.counts.shape)
        for low, high in pairwise(_borders(exact))
    ]
    np.testing.assert_allclose(sum(part).ravel(), exact.features @ fit.weights)
    histories = torch.from_numpy(exact.histories)
    rows = model.rows(histories)[:, -1]
    assert len(rows[:, 1].unique()) == len(histories), "no two bigrams share a row"
    with torch.no_grad():
        model.bias.copy_(torch.from_numpy(part[0][0]))
        for row, last, both in zip(rows, part[1], part[2], strict=True):
            model.table[row[0]] = torch.from_numpy(last)
            model.table[row[1]] = torch.from_numpy(both)
        found = functional.log_softmax(model(histories)[:, -1], dim=-1)
    np.testing.assert_allclose(found, exact.log_probabilities(fit.weights), atol=1e-12)


def _borders(model: LogLinear) -> list[int]:
    """Where the features of (), (1,) and (1, 2) begin and end: by how often each is on."""
    on = np.asarray(model.features.sum(axis=0)).ravel()
    bigrams = int((on == on.max()).sum())
    trigrams = int((on == 1).sum())
    return [0, bigrams, len(on) - trigrams, len(on)]


@pytest.mark.parametrize("sparse_gradient", [True, False])
def test_hashed_gradients_touch_only_rows_in_use(sparse_gradient: bool) -> None:
    model = HashedMaxent(MaxentConfig(7, 5, order=2, rows=2**10), sparse=sparse_gradient)
    tokens = torch.randint(7, (2, 5))
    model.loss(tokens, torch.randint(7, (2, 5))).backward()
    gradient = model.table.grad
    assert gradient.is_sparse == sparse_gradient
    dense = gradient.to_dense()
    touched = dense.abs().sum(1).nonzero()[:, 0]
    assert torch.equal(touched, model.rows(tokens).unique())


def test_configurations_survive_a_file() -> None:
    config = MaxentConfig(65, 64, order=6, rows=2**12)
    assert part_from_json(config_to_json(config)) == config
