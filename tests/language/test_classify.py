"""Naive Bayes and the log-linear model: definitions, known truth, real texts."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from muybridge.errors import InputError
from muybridge.language.classify import objective, train_log_linear, train_naive_bayes
from muybridge.language.classify_features import FeatureTemplates, learn_features
from muybridge.language.classify_texts import (
    ClassifyOptions,
    LabelledTexts,
    compare_classifiers,
    read_labelled,
    train_text_classifier,
)
from muybridge.language.evaluate_resample import learning_curve, split_samples
from tests.language.texts import shared


def _poisson(seed: int, rows: int, classes: int = 3) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """Counts that are Poisson given the class, so that naive Bayes' assumption holds."""
    random = np.random.default_rng(seed)
    rates = np.random.default_rng(99).gamma(1.0, size=(classes, 12))
    truth = random.integers(0, classes, rows)
    truth[:classes] = np.arange(classes)
    return csr_array(random.poisson(rates[truth]).astype(float)), truth, rates


def test_naive_bayes_is_its_definition() -> None:
    """p(f | y) = (c(f, y) + alpha) / (c(y) + alpha F), and Bayes' rule, by loops."""
    samples, truth, _ = _poisson(0, 40)
    model = train_naive_bayes(samples, truth, 3, alpha=0.5)
    dense = samples.toarray()
    likelihood = np.array([dense[truth == k].sum(axis=0) + 0.5 for k in range(3)])
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    joint = np.array(
        [[np.prod(likelihood[k] ** row) * (truth == k).mean() for k in range(3)] for row in dense]
    )
    expected = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(model.log_probability(samples)), expected, rtol=1e-10)
    np.testing.assert_array_equal(model.predict(samples), expected.argmax(axis=1))


def test_the_gradient_is_expected_minus_observed_counts() -> None:
    samples, truth, _ = _poisson(1, 30)
    random = np.random.default_rng(0)
    parameters = random.normal(size=(3, 13))
    target = csr_array(np.eye(3)[truth])
    value, gradient = objective(parameters, samples, target, 0.7)
    dense = samples.toarray()
    score = np.exp(dense @ parameters[:, :-1].T + parameters[:, -1])
    p = score / score.sum(axis=1, keepdims=True)
    for k in range(3):
        observed, expected = dense[truth == k].sum(axis=0), p[:, k] @ dense
        slope = expected - observed + 0.7 * parameters[k, :-1]
        np.testing.assert_allclose(gradient[k, :-1], slope, rtol=1e-10, atol=1e-10)
        assert gradient[k, -1] == pytest.approx(p[:, k].sum() - (truth == k).sum())
    step = np.zeros_like(parameters)
    step[1, 4] = 1e-6
    numeric = objective(parameters + step, samples, target, 0.7)[0] - value
    assert numeric / 1e-6 == pytest.approx(gradient[1, 4], rel=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_at_the_optimum_expected_counts_are_observed_counts(classes: int) -> None:
    samples, truth, _ = _poisson(2, 200, classes)
    model = train_log_linear(samples, truth, classes, l2=1e-3)
    p = np.exp(model.log_probability(samples))
    observed = np.eye(classes)[truth].T @ samples.toarray()
    slack = 1e-3 * np.abs(model.weights).max() + 1e-3
    np.testing.assert_allclose(p.T @ samples.toarray(), observed, atol=slack)
    np.testing.assert_allclose(p.sum(axis=0), np.bincount(truth), atol=1e-3)


def test_a_known_source_is_found() -> None:
    """Both come within a point of the Bayes classifier of Poisson counts."""
    samples, truth, _ = _poisson(3, 3000)
    others, others_truth, rates = _poisson(4, 3000)
    best = others.toarray() @ np.log(rates.T) - rates.sum(axis=1)
    ceiling = np.mean(best.argmax(axis=1) == others_truth)
    linear = train_log_linear(samples, truth, 3).predict(others)
    assert np.mean(linear == others_truth) > ceiling - 0.01
    bayes = train_naive_bayes(samples, truth, 3).predict(others)
    assert np.mean(bayes == others_truth) > 0.8 * ceiling, "it does not know how long samples are"


def test_features_are_runs_of_words_and_characters() -> None:
    words = FeatureTemplates(words=2)
    assert list(words.of("No, no more!")) == ["no", "no", "more", "no no", "no more"]
    characters = FeatureTemplates(words=0, characters=2, lower_case=False)
    assert list(characters.of("aB c")) == ["~a", "~B", "~ ", "~c", "~aB", "~B ", "~ c"]
    learned = learn_features(["a b a", "b c"], FeatureTemplates(1, min_count=2))
    assert learned.names == ("a", "b")
    counts = learned.count(["a b a z", "", "b"])
    np.testing.assert_array_equal(counts.toarray(), [[2, 1], [0, 0], [0, 1]])


def test_wrong_settings_are_refused() -> None:
    samples, truth, _ = _poisson(0, 10)
    with pytest.raises(InputError, match="alpha"):
        train_naive_bayes(samples, truth, 3, alpha=0.0)
    with pytest.raises(InputError, match="l2"):
        train_log_linear(samples, truth, 3, l2=-1.0)
    with pytest.raises(InputError, match="two classes"):
        train_log_linear(samples, np.zeros(10, dtype=np.int64), 2)
    with pytest.raises(InputError, match="runs of at least one"):
        FeatureTemplates(0, 0)
    with pytest.raises(InputError, match="found none"):
        learn_features(["?!", "..."])


def _toy(rows: int = 120) -> LabelledTexts:
    random = np.random.default_rng(0)
    good, bad = ("fine", "lovely", "great"), ("awful", "dull", "poor")
    classes = random.integers(0, 2, rows)
    texts = [
        " ".join([*random.choice(good if k else bad, 2), *random.choice(["it", "was", "a"], 3)])
        for k in classes
    ]
    return LabelledTexts(tuple(texts), classes, ("bad", "good"))


def test_a_comparison_has_every_figure() -> None:
    result = compare_classifiers(_toy(), ClassifyOptions(folds=3, curve=True))
    assert (result.trained_on, result.names) == (108, ("bad", "good"))
    assert result.sizes == (30, 60, 108)
    for method in ("naive-bayes", "log-linear"):
        assert result.scores[method].accuracy == result.accuracy[method].value == 1.0
        assert result.folds[method].matrix.sum() == 120
        assert result.folds[method].accuracy == 1.0
        assert result.curve[method][-1] == 1.0
    assert (result.difference.value, result.p_value) == (0.0, 1.0)


def test_a_text_is_labelled() -> None:
    classifier = train_text_classifier(_toy(), "naive-bayes")
    (name, probability), (other, _) = classifier.predict(["a lovely it", "dull, dull"])
    assert (name, other) == ("good", "bad")
    assert 0.5 < probability < 1.0


def test_the_three_forms_of_labelled_texts(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "bad.txt").write_text("dull\npoor\n\n")
    (tmp_path / "folder" / "good.txt").write_text("fine\n")
    (tmp_path / "folder" / "README.txt").write_text("about\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "folder").iterdir():
            archive.write(path, f"inside/{path.name}")
    (tmp_path / "a.tsv").write_text("bad.txt\tdull\nbad.txt\tpoor\r\n\ngood.txt\tfine\n")
    for name in ("folder", "a.zip", "a.tsv"):
        labelled = read_labelled(tmp_path / name)
        assert sorted(labelled.texts) == ["dull", "fine", "poor"]
        assert labelled.names == ("bad.txt", "good.txt")
        assert sorted(labelled.classes.tolist()) == [0, 0, 1]


def test_labelled_texts_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    for text, names in (("a b\n", "line 1"), ("a\tb\n", "at least two"), ("", "empty")):
        path.write_text(text)
        with pytest.raises(InputError, match=names):
            read_labelled(path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "x\n" * 1000)
        archive.writestr("b", "y\n")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:35] + b"#" + whole[36:])
    with pytest.raises(InputError, match=r"zip|binary|UTF-8"):
        read_labelled(tmp_path / "a.zip")


def test_films_generative_learns_sooner_discriminative_ends_higher() -> None:
    """Reference figures of this split: .7769 and .7807; and Ng & Jordan's crossing."""
    labelled = read_labelled(shared("sentence_polarity.zip"))
    result = compare_classifiers(labelled)
    bayes, linear = (result.accuracy[m].value for m in ("naive-bayes", "log-linear"))
    assert bayes >= 0.773
    assert linear >= 0.780
    assert linear > bayes
    rows, held = split_samples(len(labelled.texts))
    samples = learn_features(labelled.texts).count(labelled.texts)
    parts = (samples[rows], samples[held]), (labelled.classes[rows], labelled.classes[held])
    early = {
        train: learning_curve(train, *parts, 2, (30, 60, 120)).mean()
        for train in (train_naive_bayes, train_log_linear)
    }
    assert early[train_naive_bayes] > early[train_log_linear] + 0.01
