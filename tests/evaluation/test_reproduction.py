"""The paper's experiments: the folds, the numbers and the plan; the runs themselves are in test_reproduce."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from isotone.data.splits import FOLDS
from isotone.evaluation.reproduction.collection import COLLECTIONS
from isotone.evaluation.reproduction.folds import deal
from isotone.evaluation.reproduction.images import crop
from isotone.evaluation.reproduction.measure import by_projection, difference, matrix, measured, recall_at, summary
from isotone.evaluation.reproduction.plan import WHAT, Plan
from isotone.imaging.radiograph import Radiograph


def cohort(patients=30, each=2, scarce=6):
    """Two domains of two labels, `each` images a patient, and a cell that is only tested on."""
    rows = [
        {"domain": domain, "label": label, "patient_id": f"{domain}{label}{p}", "split": "train"}
        for domain in ("ref", "src")
        for label in "BC"
        for p in range(patients)
        for _ in range(each)
    ]
    rows += [{"domain": "src", "label": "A", "patient_id": f"a{p}", "split": "test"} for p in range(scarce)]
    return pd.DataFrame(rows)


def predictions(seed=0, folds=2, n=40, classes=("negative", "positive")):
    rng = np.random.default_rng(seed)
    labels = np.resize(classes, n * folds)
    scores = rng.dirichlet(np.ones(len(classes)), n * folds)
    table = pd.DataFrame({"fold": np.repeat(np.arange(folds) + 1, n), "label": labels, "image": np.arange(n * folds)})
    table["patient"] = [f"p{i // 2}" for i in range(n * folds)]
    table["view"] = np.where(rng.random(n * folds) < 0.5, "AP", "PA")
    return table.assign(method="none", **{f"p_{c}": scores[:, k] for k, c in enumerate(classes)})


# Folds


@given(st.integers(0, 50))
def test_corrected_never_lets_a_patient_straddle_and_tests_every_image_once(seed):
    table = cohort()
    folds = deal(table, "corrected", seed)
    for split in folds:
        sides = table.assign(split=split)[split != ""].groupby("patient_id")["split"].nunique()
        assert sides.max() == 1
        assert {"train", "val", "test"} <= set(split)
    assert (np.sum([split == "test" for split in folds], axis=0) == 1).all()


@given(st.integers(0, 50))
def test_paper_lets_patients_straddle_and_all_folds_score_one_test_set(seed):
    table = cohort()
    folds = deal(table, "paper", seed)
    test = folds[0] == "test"
    assert all(np.array_equal(split == "test", test) for split in folds)
    assert set(table["patient_id"][test]) & set(table["patient_id"][folds[0] == "train"])
    shares = pd.Series(test).groupby(table["domain"] + table["label"]).mean()
    assert shares.drop("srcA").to_list() == [0.2] * 4
    # Each training image validates once.
    assert (np.sum([split == "val" for split in folds], axis=0) == ~test).all()


@pytest.mark.parametrize("preset", ["paper", "corrected"])
def test_what_is_scarce_is_only_tested_on(preset):
    table = cohort()
    for split in deal(table, preset, 0):
        assert set(split[table["label"] == "A"]) <= {"test", ""}


def test_images_without_a_patient_are_patients_of_their_own():
    table = cohort().assign(patient_id=None)
    assert (np.sum([s == "test" for s in deal(table, "corrected", 0)], axis=0) == 1).all()


# Images


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 5))
def test_a_crop_keeps_all_of_the_anatomy_and_little_else(top, left, seed):
    stored = np.random.default_rng(seed).integers(0, 50, (64, 48)).astype(np.uint16)
    stored[top : top + 30, left : left + 24] += 20_000
    kept = crop(Radiograph.from_array(stored, bits=16)).stored
    assert (kept > 10_000).sum() == 30 * 24
    assert kept.size < 1.5 * 30 * 24


# Numbers


def test_metrics_of_two_classes_are_those_of_scikit_learn():
    rows = predictions()
    found = measured(rows)
    by_fold = [part for _, part in rows.groupby("fold")]
    positive = [part["label"] == "positive" for part in by_fold]
    called = [part["p_positive"] > part["p_negative"] for part in by_fold]
    aucs = [roc_auc_score(y, part["p_positive"]) for y, part in zip(positive, by_fold, strict=True)]
    precisions = [precision_score(y, c) for y, c in zip(positive, called, strict=True)]
    assert found["auc"][0] == pytest.approx(np.mean(aucs))
    assert found["precision"][0] == pytest.approx(np.mean(precisions))
    assert found["recall"][0] == pytest.approx(recall_score(pd.concat(positive), pd.concat(called)))
    assert found["called_positive"][0] == pytest.approx(pd.concat(called).mean())


def test_metrics_of_four_classes_are_those_of_scikit_learn():
    rows = predictions(classes=tuple("ABCD"))
    found = measured(rows)
    scores = rows[[f"p_{c}" for c in "ABCD"]].to_numpy()
    recall = recall_score(rows["label"], np.array(list("ABCD"))[scores.argmax(1)], average=None)
    assert found["recall"][0] == pytest.approx(recall.mean())
    assert found["worst_group_accuracy"][0] == pytest.approx(recall.min())
    auc = [roc_auc_score(p["label"], p[[f"p_{c}" for c in "ABCD"]], multi_class="ovr") for _, p in rows.groupby("fold")]
    assert found["auc"][0] == pytest.approx(np.mean(auc))


def test_intervals_hold_the_estimate_and_the_paper_preset_has_none():
    rows = predictions()
    with_ends = summary(rows, intervals=True, seed=0)
    assert with_ends["auc_low"] < with_ends["auc"] < with_ends["auc_high"]
    assert not [name for name in summary(rows, intervals=False, seed=0) if name.endswith(("_low", "_high"))]


def test_a_recall_of_all_has_an_interval_with_a_width():
    rows = predictions()
    rows[["p_negative", "p_positive"]] = (rows["label"].to_numpy()[:, None] == ["negative", "positive"]) * 0.8 + 0.1
    found = summary(rows, intervals=True, seed=0)
    assert found["recall"] == found["recall_high"] == found["auc_high"] == 1
    assert max(found["recall_low"], found["auc_low"]) < 1


def test_a_class_that_no_prediction_is_about_is_left_out():
    rows = predictions().assign(p_third=np.nan)
    assert matrix(rows).shape == (2, 2)


def test_a_difference_is_paired_and_zero_from_itself():
    rows = predictions()
    shuffled = rows.sample(frac=1, random_state=1)
    assert difference(rows, shuffled, "auc", intervals=True, seed=0) == {
        "auc_difference": 0.0,
        "auc_difference_low": 0.0,
        "auc_difference_high": 0.0,
    }
    assert difference(rows, rows.iloc[:-1], "auc", intervals=False, seed=0) == {}


def test_calling_more_images_positive_gains_recall_but_none_at_the_same_specificity():
    rows = predictions()
    moved = rows.assign(p_positive=rows["p_positive"] ** 0.25)
    moved["p_negative"] = 1 - moved["p_positive"]
    assert measured(moved)["recall"][0] > measured(rows)["recall"][0]
    assert recall_at(moved, 0.8) == recall_at(rows, 0.8)


def test_the_projection_rule_calls_ap_positive_and_nothing_else():
    rows = predictions()
    ruled = by_projection(rows)
    assert measured(ruled)["called_positive"][0] == (rows["view"] == "AP").mean()


# The plan


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("quick", [True, False])
def test_a_plan_names_each_experiment_once_and_gives_each_a_time(collection, quick):
    plan = Plan(collection=collection, quick=quick)
    names = [e.name for e in plan.experiments()]
    assert len(set(names)) == len(names)
    assert names[0] == "cohort"
    assert {f"fold-{k + 1}" for k in range(FOLDS)} < set(names)
    assert all(plan.seconds(e, "cpu") > 0 for e in plan.experiments())
    described = {v for v in plan.variants() if not v.startswith("labels-")}
    assert described <= WHAT.keys()


def test_the_quick_phantom_is_planned_for_less_than_half_an_hour():
    plan = Plan(collection="phantom", quick=True)
    assert sum(plan.seconds(e, "cpu") for e in plan.experiments()) < 30 * 60


def test_the_paper_preset_is_the_authors_configuration_to_the_letter():
    for collection, weight in (("embed", 0.95), ("rsna", 0.5)):
        plan = Plan(collection=collection, preset="paper")
        gdce, training = plan.gdce(), plan.training()
        assert (gdce.num_layers, gdce.num_iterations, gdce.input_size, gdce.epochs, gdce.batch_size) == (
            5,
            8,
            256,
            25,
            12,
        )
        assert (gdce.loss, gdce.weight, gdce.perceptual, gdce.reshuffle) == ("weighted", weight, "vgg16", False)
        assert (training.backbone, training.image_size, training.scaling) == ("resnet50", 512, "unit")
        assert (training.batch_size, training.learning_rate, training.epochs) == (12, 1e-4, 1000)


def test_corrected_draws_new_batches_every_epoch():
    assert Plan(collection="phantom", quick=True).gdce().reshuffle
    assert not Plan(collection="phantom", quick=True, preset="paper").gdce().reshuffle


def test_whatever_the_results_depend_on_changes_the_digest():
    plan = Plan(collection="phantom")
    others = [{"seed": 1}, {"quick": True}, {"preset": "paper"}, {"collection": "nih"}, {"data": "x"}]
    assert len({plan.digest, *(Plan(**plan.model_dump() | o).digest for o in others)}) == 1 + len(others)
