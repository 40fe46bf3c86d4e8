"""Figures of a classifier by hand, and resampling whose answer is known."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from muybridge.errors import InputError
from muybridge.language.classify import train_naive_bayes
from muybridge.language.evaluate import Scores, confusion
from muybridge.language.evaluate_resample import (
    bootstrap_interval,
    cross_validate,
    fold_samples,
    learning_curve,
    paired_bootstrap,
    split_samples,
)


def test_by_hand() -> None:
    truth, given = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 1])
    scores = Scores(confusion(truth, given, 4))
    np.testing.assert_array_equal(scores.matrix[:3, :3], [[2, 1, 0], [0, 1, 1], [0, 1, 0]])
    assert scores.accuracy == 0.5
    np.testing.assert_allclose(scores.precision, [1, 1 / 3, 0, 0])
    np.testing.assert_allclose(scores.recall, [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_allclose(scores.f1, [0.8, 0.4, 0, 0])
    assert scores.macro_f1 == pytest.approx(0.3)
    assert scores.macro_precision == pytest.approx(1 / 3)
    assert scores.macro_recall == pytest.approx(7 / 24)


def test_a_split_is_a_partition() -> None:
    train, test = split_samples(1003, 0.25, seed=4)
    assert (len(train), len(test)) == (752, 251)
    assert sorted([*train, *test]) == list(range(1003))
    assert not np.array_equal(train, split_samples(1003, 0.25, seed=5)[0])
    with pytest.raises(InputError, match="both sides"):
        split_samples(3, 0.999)


def test_folds_are_a_partition() -> None:
    parts = fold_samples(23, 5)
    assert sorted(map(len, parts)) == [4, 4, 5, 5, 5]
    assert sorted(np.concatenate(parts)) == list(range(23))
    for folds in (1, 24):
        with pytest.raises(InputError, match="folds"):
            fold_samples(23, folds)


def test_no_fold_sees_its_own_samples() -> None:
    """Random labels and a feature for each sample: whoever peeks is always right."""
    classes = np.random.default_rng(0).integers(0, 2, 200)
    samples = csr_array(np.eye(200))
    given = cross_validate(samples, classes, 2, train_naive_bayes, fold_samples(200, 5))
    assert abs(np.mean(given == classes) - 0.5) < 0.12
    assert np.mean(train_naive_bayes(samples, classes, 2).predict(samples) == classes) > 0.9


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        interval = bootstrap_interval(random.random(300) < 0.8, seed=seed)
        hits += interval.low <= 0.8 <= interval.high
    assert 0.90 <= hits / 200 <= 0.99


def test_the_paired_test_knows_a_difference() -> None:
    random = np.random.default_rng(0)
    first = random.random(2000) < 0.8
    better = first | (random.random(2000) < 0.2)
    gap, p_value = paired_bootstrap(better, first)
    assert gap.low > 0
    assert p_value < 0.01
    assert gap.value == pytest.approx(better.mean() - first.mean())
    other = random.permutation(first)
    gap, p_value = paired_bootstrap(first, other)
    assert (gap.value, p_value) == (0.0, 1.0)


def test_paired_p_values_are_uniform_where_nothing_differs() -> None:
    random = np.random.default_rng(1)
    values = [
        paired_bootstrap(random.random(400) < 0.7, random.random(400) < 0.7, seed=s)[1]
        for s in range(300)
    ]
    assert 0.02 <= np.mean(np.array(values) < 0.05) <= 0.09


def test_a_learning_curve_waits_for_every_class() -> None:
    classes = np.array([0, 0, 0, 1, 1, 0])
    samples = csr_array(np.eye(2)[classes])
    curve = learning_curve(
        train_naive_bayes, (samples, samples), (classes, classes), 2, sizes=(2, 4, 6)
    )
    np.testing.assert_array_equal(np.isnan(curve), [True, False, False])
    assert curve[1:].tolist() == [1.0, 1.0]
