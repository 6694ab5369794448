"""An exported model answers as the fitted one did, and one that the plan cannot use is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import skl2onnx
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

from proviso.contracts.base import ContractError
from proviso.release.embedded import EmbeddedModel
from proviso.release.signature import TOLERANCE, signature_problems
from proviso.training.fitting import Exported, fit_model, fit_reference, verified
from proviso.training.spec import Boosting, TrainingSpec
from tests.problems import refused

WIDTH = 4
MISMATCH = "model_signature_mismatch"
NAMES = [f"x{i}" for i in range(WIDTH)]
SPEC = TrainingSpec(boosting=Boosting(trees=20, max_depth=3))


def rows(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Vectors with missing values and an empty column, and labels that follow the first."""
    random = np.random.default_rng(7)
    vectors = (random.normal(size=(count, WIDTH)) * 50).astype(np.float32)
    labels = (vectors[:, 0] + random.normal(size=count) * 20 > 30).astype(np.int8)
    vectors[random.random(vectors.shape) < 0.2] = np.nan
    vectors[:, WIDTH - 1] = np.nan
    return vectors, labels


@pytest.fixture(scope="module")
def model() -> Exported:
    vectors, labels = rows()
    return fit_model(SPEC, NAMES, vectors, labels, vectors)


def test_onnx_equals_xgboost_also_on_missing_values(model: Exported) -> None:
    assert model.difference <= TOLERANCE


@pytest.mark.parametrize(
    ("positives", "constant", "settings"),
    [
        (1, False, Boosting(trees=20)),
        (3, False, Boosting(trees=20, min_child_weight=5.0)),
        (300, True, Boosting(trees=20)),
        (300, False, Boosting(trees=20, gamma=1e9)),
        (300, False, Boosting(trees=20, min_child_weight=1e6)),
    ],
)
def test_a_model_whose_trees_split_nothing_is_refused_before_its_export_is_compared(
    positives: int, constant: bool, settings: Boosting
) -> None:
    vectors, labels = rows()
    labels[:] = 0
    labels[:positives] = 1
    if constant:
        vectors[:] = 1
    with refused("model_without_split") as problems:
        fit_model(TrainingSpec(boosting=settings), NAMES, vectors, labels, vectors)
    assert f"{positives} of {len(labels)} " in problems[0].found


def test_onnx_equals_the_logistic_baseline() -> None:
    vectors, labels = rows()
    assert fit_reference(SPEC, vectors, labels, vectors).difference <= TOLERANCE


def test_the_same_rows_give_the_same_bytes(model: Exported) -> None:
    vectors, labels = rows()
    assert fit_model(SPEC, NAMES, vectors, labels, vectors).onnx == model.onnx


def test_an_answer_does_not_depend_on_its_batch(model: Exported) -> None:
    vectors, _ = rows()
    embedded = EmbeddedModel(model.onnx)
    single = [float(embedded.probabilities(vectors[i : i + 1])[0]) for i in range(50)]
    assert single == model.scores[:50].tolist()


def test_no_rows_have_no_scores(model: Exported) -> None:
    assert EmbeddedModel(model.onnx).probabilities(np.zeros((0, WIDTH), np.float32)).size == 0


def test_a_model_that_is_not_the_fitted_one_is_refused(model: Exported) -> None:
    vectors, _ = rows()
    fitted = model.scores.copy()
    fitted[3] += 2 * TOLERANCE
    with pytest.raises(ContractError) as refused:
        verified("model", model.onnx, fitted, vectors)
    assert [problem.code for problem in refused.value.problems] == ["onnx_differs_from_model"]


def test_a_constraint_turns_the_model() -> None:
    vectors, labels = rows()
    falling = TrainingSpec(boosting=Boosting(trees=20, decreasing=["x0"]))
    embedded = EmbeddedModel(fit_model(falling, NAMES, vectors, labels, vectors).onnx)
    line = np.zeros((50, WIDTH), np.float32)
    line[:, 0] = np.linspace(-100, 100, 50)
    assert (np.diff(embedded.probabilities(line)) <= 0).all()


def test_a_usable_model_passes(model: Exported, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.onnx)
    assert signature_problems(path, WIDTH) == []


def test_a_model_of_another_width_is_refused(model: Exported, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.onnx)
    [problem] = signature_problems(path, WIDTH + 1)
    assert problem.code == MISMATCH
    assert "features float32 [N, 4]" in problem.found
    assert "features float32 [N, 5]" in problem.wanted


def test_a_regression_is_refused(tmp_path: Path) -> None:
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH])
    value = helper.make_tensor_value_info("variable", TensorProto.FLOAT, ["N", 1])
    node = helper.make_node("ReduceMean", ["features"], ["variable"], keepdims=1)
    graph = helper.make_graph([node], "regression", [features], [value])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), path)
    [problem] = signature_problems(path, WIDTH)
    assert problem.code == MISMATCH
    assert "variable float32 [N, 1]" in problem.found


def test_a_model_of_many_classes_is_refused(tmp_path: Path) -> None:
    vectors, _ = rows()
    classifier = LogisticRegression().fit(np.nan_to_num(vectors), np.arange(len(vectors)) % 3)
    path = tmp_path / "model.onnx"
    converted = skl2onnx.to_onnx(
        classifier, np.nan_to_num(vectors[:1]), options={"zipmap": False}, target_opset=15
    )
    path.write_bytes(converted.SerializeToString())
    [problem] = signature_problems(path, WIDTH)
    assert problem.code == MISMATCH
    assert "probabilities float32 [N, 3]" in problem.found


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    assert [problem.code for problem in signature_problems(path, WIDTH)] == ["model_unreadable"]
