"""A release that is not what it says, or that the cluster could not name: nothing is rendered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from proviso.manifests.checks_pair import pair_problems
from proviso.release.directory import read_release
from tests.unit.manifests.release_case import (
    MODEL,
    Break,
    Case,
    Rejection,
    config,
    examples,
    good,
    model_bytes,
    onnx_model,
    refusals,
    release,
    stable,
    without,
)

IN_RELEASE = "2.5.0/release.yml"
IN_CONFIG = "2.5.0/fraud_risk_xgboost/config.pbtxt"
IN_MODEL = "2.5.0/fraud_risk_xgboost/1/model.onnx"
WANTED_TENSORS = "inputs ['features float32 [N, 40]'], outputs ['probabilities float32 [N, 2]']"
ZEROS = "sha256:" + "0" * 64


def renamed(side: str, name: str) -> Callable[[onnx.ModelProto], None]:
    """A tensor of the graph's edge under another name, in every node that has it."""

    def change(model: onnx.ModelProto) -> None:
        value = getattr(model.graph, side)[0]
        for node in model.graph.node:
            for names in (node.input, node.output):
                for at, found in enumerate(names):
                    names[at] = name if found == value.name else found
        value.name = name

    return change


def of_double(side: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        getattr(model.graph, side)[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE

    return change


def one_output_more(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = model.graph.node[0].output[0]


def gone(name: str) -> Break:
    def edit(case: Case) -> Case:
        (case.release / name).unlink()
        return case

    return edit


def text(name: str, content: str) -> Break:
    def edit(case: Case) -> Case:
        (case.release / name).write_text(content)
        return case

    return edit


def model_of(name: str, *, rebound: bool) -> Break:
    def edit(case: Case) -> Case:
        return model_bytes((examples() / name).read_bytes(), rebound=rebound)(case)

    return edit


FILES = {
    "no release.yml": Rejection(
        gone("release.yml"), IN_RELEASE, "No such file or directory", "a readable release.yml"
    ),
    "no YAML": Rejection(
        text("release.yml", "id: ["), IN_RELEASE, "while parsing*", "a readable release.yml"
    ),
    "a list": Rejection(text("release.yml", "- id"), IN_RELEASE, "a list", "a mapping"),
    "an unknown key": Rejection(
        release("extra", 1),
        f"{IN_RELEASE}: extra",
        "an unknown key",
        "only keys of the format",
    ),
    "a key that is gone": Rejection(
        without("base_images"), f"{IN_RELEASE}: base_images", "nothing", "a value"
    ),
    "an id of another form": Rejection(
        release("id", "r-1"), f"{IN_RELEASE}: id", "'r-1'", "r- and 16 hex digits"
    ),
    "a version of another form": Rejection(
        release("model", f"{MODEL}:2.5"), f"{IN_RELEASE}: model", f"'{MODEL}:2.5'", "a model*"
    ),
    "a folder elsewhere": Rejection(
        release("triton_model", "../up"), f"{IN_RELEASE}: triton_model", "'../up'", "a name*"
    ),
    "a vector of another width": Rejection(
        release("input/width", 39), f"{IN_RELEASE}: input.width", "39 for a vector of 40", "*"
    ),
    "another input": Rejection(
        release("input/name", "vector", rebound=True),
        f"{IN_RELEASE}: input.name",
        "vector",
        "features",
    ),
    "another number of classes": Rejection(
        release("output/width", 3, rebound=True), f"{IN_RELEASE}: output.width", "3", "2"
    ),
    "no configuration": Rejection(
        gone(f"{MODEL}/config.pbtxt"),
        IN_CONFIG,
        "No such file or directory",
        "a Triton configuration",
    ),
    "no model": Rejection(
        gone(f"{MODEL}/1/model.onnx"), IN_MODEL, "unreadable: *", "an ONNX model"
    ),
}

DIGESTS = {
    "another model": Rejection(
        model_of("2.5.0/baseline.onnx", rebound=False),
        f"{IN_RELEASE}: digests.model",
        "sha256:*",
        "sha256:*",
    ),
    "another configuration": Rejection(
        config("count: 2", "count: 3", rebound=False),
        f"{IN_RELEASE}: digests.config",
        "sha256:*",
        "sha256:*",
    ),
    "another service": Rejection(
        release("service/hash_entity_keys", True),
        f"{IN_RELEASE}: digests.service",
        "sha256:*",
        "sha256:*",
    ),
    "another decision": Rejection(
        release("service/decision/threshold", 0.4),
        f"{IN_RELEASE}: digests.decision",
        "sha256:*",
        "sha256:*",
    ),
    "other base images": Rejection(
        release("base_images/predictor", "python:3.12-slim"),
        f"{IN_RELEASE}: digests.base_images",
        "sha256:*",
        "sha256:*",
    ),
    "another transformer's source": Rejection(
        release("digests/transformer", ZEROS, rebound=True),
        f"{IN_RELEASE}: digests.transformer",
        ZEROS,
        "sha256:*",
    ),
    "a digest too few": Rejection(
        without("digests/transformer"), f"{IN_RELEASE}: digests", "*", "*'transformer']"
    ),
    "a digest too many": Rejection(
        release("digests/more", ZEROS), f"{IN_RELEASE}: digests", "*'more'*", "*'transformer']"
    ),
    "another id": Rejection(
        release("id", "r-" + "0" * 16),
        f"{IN_CONFIG}: parameters[proviso_release_id].string_value",
        "r-*",
        "r-0000000000000000",
    ),
    "a configuration without an id": Rejection(
        config("proviso_release_id", "another_id", rebound=False),
        f"{IN_CONFIG}: parameters[proviso_release_id].string_value",
        "nothing",
        "r-*",
    ),
}

TENSORS = {
    "configured input's name": Rejection(
        config('{ name: "features" data_type', '{ name: "vector" data_type'),
        f"{IN_CONFIG}: input[vector].name",
        "vector",
        "nothing",
    ),
    "configured input's width": Rejection(
        config("TYPE_FP32 dims: [ 40 ] }", "TYPE_FP32 dims: [ 39 ] }"),
        f"{IN_CONFIG}: input[features].dims",
        "39",
        "40",
    ),
    "configured input's type": Rejection(
        config("TYPE_FP32", "TYPE_FP64"),
        f"{IN_CONFIG}: input[features].data_type",
        "TYPE_FP64",
        "TYPE_FP32",
    ),
    "configured output's name": Rejection(
        config('"probabilities"', '"scores"'),
        f"{IN_CONFIG}: output[probabilities].name",
        "nothing",
        "probabilities",
    ),
    "configured output's width": Rejection(
        config("dims: [ 2 ]", "dims: [ 1 ]"),
        f"{IN_CONFIG}: output[probabilities].dims",
        "1",
        "2",
    ),
    "configured model": Rejection(
        config(f'name: "{MODEL}"', 'name: "other"'), f"{IN_CONFIG}: name", "other", MODEL
    ),
    "configured backend": Rejection(
        config('"onnxruntime"', '"python"'), f"{IN_CONFIG}: backend", "python", "onnxruntime"
    ),
    "a setting of its own": Rejection(
        config("max_batch_size", "version_policy: { all { } }\nmax_batch_size"),
        f"{IN_CONFIG}: version_policy.all",
        "{}",
        "nothing",
    ),
    "no text format": Rejection(
        config("name:", "name: {"), IN_CONFIG, "2:*", "a Triton configuration"
    ),
    "a model as wide as another's": Rejection(
        model_of(f"2.4.0/{MODEL}/1/model.onnx", rebound=True),
        IN_MODEL,
        "inputs ['features float32 [N, 17]'], outputs ['probabilities float32 [N, 2]']",
        WANTED_TENSORS,
    ),
    "a model's input": Rejection(
        onnx_model(renamed("input", "x")), IN_MODEL, "inputs ['x float32*", WANTED_TENSORS
    ),
    "a model's input type": Rejection(
        onnx_model(of_double("input")), IN_MODEL, "inputs ['features float64*", WANTED_TENSORS
    ),
    "a model's output": Rejection(
        onnx_model(renamed("output", "scores")),
        IN_MODEL,
        "*outputs ['scores float32 [N, 2]']",
        WANTED_TENSORS,
    ),
    "a model's output type": Rejection(
        onnx_model(of_double("output")),
        IN_MODEL,
        "*outputs ['probabilities float64 [N, 2]']",
        WANTED_TENSORS,
    ),
    "a model's second output": Rejection(
        onnx_model(one_output_more), IN_MODEL, "*", WANTED_TENSORS
    ),
    "no model at all": Rejection(
        model_bytes(b"no model", rebound=True), IN_MODEL, "unreadable: *", "an ONNX model"
    ),
}

NAMES = {
    "a host that ends with a dash": Rejection(
        release("model_name", "fraud-", rebound=True),
        f"{IN_RELEASE}: model_name",
        "fraud-",
        "a DNS label: lower case letters, digits, dashes inside",
    ),
    "a label that is too long": Rejection(
        release("model_name", "f" * 50, rebound=True),
        f"{IN_RELEASE}: model_name",
        "f*-2-5-0-* (63 characters)",
        "a deployed release's name of at most 46 characters",
    ),
}


def over_itself(case: Case) -> Case:
    return replace(case, stable=case.release)


def over_nothing(case: Case) -> Case:
    assert case.stable
    (case.stable / "release.yml").unlink()
    return case


PAIRS = {
    "the same release": Rejection(
        over_itself, f"{IN_RELEASE}: id", "r-*", "another release than the candidate"
    ),
    "no release": Rejection(
        over_nothing, "2.4.0/release.yml", "No such file or directory", "a readable release.yml"
    ),
    "a changed release": Rejection(
        stable("digests/model", ZEROS, rebound=False),
        "2.4.0/release.yml: digests.model",
        "sha256:*",
        ZEROS,
    ),
    "another model's release": Rejection(
        stable("model_name", "risk"), "2.4.0/release.yml: model_name", "risk", "fraud-risk"
    ),
    "one that asks for less": Rejection(
        stable("service/fields", []),
        f"{IN_RELEASE}: service.fields",
        "amount",
        "only what the stable asks for: customer_id (string), merchant_id (string)",
    ),
    "one with keys of another type": Rejection(
        stable("service/entities/customer/dtype", "int64"),
        f"{IN_RELEASE}: service.fields",
        "customer_id (string)",
        "only what the stable asks for: amount, customer_id (int64), merchant_id (string)",
    ),
    "one that takes larger batches": Rejection(
        stable("service/limits/max_batch", 128),
        f"{IN_RELEASE}: service.limits.max_batch",
        "64",
        "at least 128",
    ),
    "one that takes larger bodies": Rejection(
        stable("service/limits/max_body_bytes", 2_097_152),
        f"{IN_RELEASE}: service.limits.max_body_bytes",
        "1048576",
        "at least 2097152",
    ),
    "one with other words": Rejection(
        stable("service/decision/below", "ALLOW"),
        f"{IN_RELEASE}: service.decision.below",
        "APPROVE",
        "ALLOW",
    ),
}

ALL = {
    f"{group}: {name}": refusal
    for group, refusals_of in (
        ("files", FILES),
        ("digests", DIGESTS),
        ("tensors", TENSORS),
        ("names", NAMES),
        ("over", PAIRS),
    )
    for name, refusal in refusals_of.items()
}


@pytest.mark.parametrize("refusal", ALL.values(), ids=ALL)
def test_a_release_that_is_not_what_it_says_is_refused(refusal: Rejection, tmp_path: Path) -> None:
    problems = refusals(refusal.by(good(tmp_path)))
    assert refusal.said(problems), problems


def test_two_releases_of_one_name_in_the_cluster_are_refused(tmp_path: Path) -> None:
    found = read_release(good(tmp_path).release)
    twin = replace(found, id=found.id[:8] + "0" * 10)
    assert [problem.wanted for problem in pair_problems(found, twin)] == [
        f"an id whose name is not fraud-risk-2-5-0-{found.id[2:8]}"
    ]


def test_both_examples_pass(tmp_path: Path) -> None:
    case = good(tmp_path)
    assert refusals(case) == []
    assert refusals(replace(case, release=tmp_path / "2.4.0", stable=None)) == []
