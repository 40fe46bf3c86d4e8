"""Classifiers and their figures against scikit-learn: its stored answers, and itself where present.

Naive Bayes is the same arithmetic (1e-12); the log-linear model is the same optimum, found by
another search (1e-4; scikit-learn's own default tolerance stops earlier).
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from muybridge.language.classify import train_log_linear, train_naive_bayes
from muybridge.language.classify_features import learn_features
from muybridge.language.classify_texts import read_labelled
from muybridge.language.evaluate import Scores, confusion
from muybridge.language.evaluate_resample import split_samples
from tests.language.texts import shared

CASES = json.loads((Path(__file__).parent / "sklearn_golden.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=["two classes", "four classes"])
def test_stored_answers(case: dict) -> None:
    samples, truth = csr_array(np.array(case["samples"], dtype=float)), np.array(case["classes"])
    number = truth.max() + 1
    bayes = train_naive_bayes(samples, truth, int(number), alpha=0.7)
    np.testing.assert_allclose(bayes.log_probability(samples), case["naive_bayes"], atol=1e-12)
    linear = train_log_linear(samples, truth, int(number), l2=0.5)
    np.testing.assert_allclose(linear.log_probability(samples), case["log_linear"], atol=1e-4)
    scores = Scores(confusion(truth, bayes.predict(samples), int(number)))
    np.testing.assert_array_equal(scores.matrix, case["confusion"])
    for name in ("precision", "recall", "f1"):
        np.testing.assert_allclose(getattr(scores, name), case[name], atol=1e-15)


def test_on_films() -> None:
    bayes = pytest.importorskip("sklearn.naive_bayes", reason="pip install scikit-learn")
    linear = pytest.importorskip("sklearn.linear_model")
    labelled = read_labelled(shared("sentence_polarity.zip"))
    train, test = split_samples(len(labelled.texts))
    features = learn_features([labelled.texts[row] for row in train])
    samples, truth = features.count(labelled.texts), labelled.classes
    ours = train_naive_bayes(samples[train], truth[train], 2).log_probability(samples[test])
    theirs = bayes.MultinomialNB().fit(samples[train], truth[train])
    np.testing.assert_allclose(ours, theirs.predict_log_proba(samples[test]), atol=1e-12)
    ours = train_log_linear(samples[train], truth[train], 2).log_probability(samples[test])
    search = linear.LogisticRegression(tol=1e-9, max_iter=5000).fit(samples[train], truth[train])
    np.testing.assert_allclose(ours, search.predict_log_proba(samples[test]), atol=1e-4)
