"""config.pbtxt as Triton's own message: fields by path, and text that Triton would not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.contracts.loading import load_plan
from proviso.release.model_config import (
    ModelConfigError,
    fields_of,
    format_model_config,
    model_config,
    parse_model_config,
)

PLAN = load_plan(Path(__file__).parents[3] / "contracts")


def test_every_field_that_is_written_is_read_back_by_its_path() -> None:
    fields = fields_of(parse_model_config(model_config(PLAN, 40, "r-0123456789abcdef")))
    assert fields["name"] == PLAN.model_base
    assert fields["max_batch_size"] == str(PLAN.batching.max_batch_size)
    assert fields["input[features].dims"] == "40"
    assert fields["input[features].data_type"] == "TYPE_FP32"
    assert fields["model_warmup[zeros].inputs[features].zero_data"] == "true"
    assert fields["parameters[proviso_release_id].string_value"] == "r-0123456789abcdef"


def test_items_without_a_name_go_by_their_place_and_empty_messages_are_there() -> None:
    text = (
        'version_policy { all {} } input { name: "x" dims: [ 2, 3 ] } '
        'metric_tags { key: "a" value: "b" }'
    )
    assert fields_of(parse_model_config(text)) == {
        "version_policy": "{}",
        "version_policy.all": "{}",
        "input[x].name": "x",
        "input[x].dims[0]": "2",
        "input[x].dims[1]": "3",
        "metric_tags[a]": "b",
    }


def test_the_formatted_message_says_the_same() -> None:
    message = parse_model_config(model_config(PLAN, 40, None))
    assert parse_model_config(format_model_config(message)) == message


@pytest.mark.parametrize("text", ["name: {", "naem: 'x'", "max_batch_size: many", "input ["])
def test_what_triton_would_not_read_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ModelConfigError, match=r"^1:\d+ : "):
        parse_model_config(text)
