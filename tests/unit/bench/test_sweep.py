"""The sweep without a server: releases that differ in batching, turns, the choice, the pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from proviso.bench.sweep import Contender, Curve, sweep
from proviso.bench.sweep_analyzer import Measured, NoFigures
from proviso.bench.sweep_charts import batch_picture, latency_picture
from proviso.bench.sweep_choice import Choice, best_inside, budget_of, choose
from proviso.bench.sweep_input import VECTORS, write_inputs
from proviso.bench.sweep_report import as_data, as_text, write_report
from proviso.bench.sweep_settings import (
    Setting,
    max_batch_size,
    own_setting,
    parsed_config,
    release_with,
)
from proviso.bench.sweep_target import setting_in
from proviso.contracts.base import InputError
from proviso.pages.charts import Curve as ChartCurve
from proviso.pages.charts import Dot, Label, Rule
from proviso.release.directory import read_release
from proviso.release.model_config import fields_of
from tests.program import call
from tests.sweep_data import AT_ONCE, BUDGET, OFF, PLAN, WAITING, curve, figures, found

ROOT = Path(__file__).parents[3]
RELEASE = ROOT / "model_repository" / "2.5.0"


def flat(setting: Setting, *throughputs: float, p95: float = 5.0) -> Curve:
    """One concurrency, a throughput a round."""
    return curve(setting, [figures(one, p95) for one in throughputs])


# --- releases that differ in batching --------------------------------------------------------


@pytest.mark.parametrize("setting", [OFF, WAITING], ids=lambda setting: setting.name)
def test_a_copy_differs_in_batching_and_in_what_follows_from_it(
    setting: Setting, tmp_path: Path
) -> None:
    release = read_release(RELEASE)
    copy = release_with(release, setting, tmp_path / "copy")
    assert own_setting(copy) == setting
    assert copy.id != release.id
    changed = {part for part, digest in copy.digests.items() if digest != release.digests[part]}
    assert changed == {"config"}
    before, after = (fields_of(parsed_config(one)) for one in (release, copy))
    different = {path for path in before | after if before.get(path) != after.get(path)}
    batching = (
        "dynamic_batching" if setting == OFF else "dynamic_batching.max_queue_delay_microseconds"
    )
    assert different == {batching, "parameters[proviso_release_id].string_value"}
    assert max_batch_size(copy) == max_batch_size(release) == PLAN.batching.max_batch_size


def test_a_release_with_its_own_setting_is_served_as_it_is(tmp_path: Path) -> None:
    release = read_release(RELEASE)
    assert release_with(release, own_setting(release), tmp_path / "copy") is release
    assert not (tmp_path / "copy").exists()


def test_what_a_deployed_predictor_says_is_read_as_a_setting() -> None:
    assert setting_in({"max_batch_size": 128}) == OFF
    assert setting_in({"dynamic_batching": {}}) == AT_ONCE
    assert setting_in({"dynamic_batching": {"max_queue_delay_microseconds": "2000"}}) == WAITING


def test_the_input_holds_whole_vectors_within_what_training_saw(tmp_path: Path) -> None:
    release = read_release(RELEASE)
    about = write_inputs(release, tmp_path / "inputs.json")
    data = json.loads((tmp_path / "inputs.json").read_text())["data"]
    rows = np.array([one[release.input_name] for one in data])
    assert rows.shape == (VECTORS, len(release.service.vector))
    assert np.isfinite(rows).all()
    column = release.service.vector.index("customer_profile_6h__mean_amount_30d")
    seen = release.card["features"]["distribution"]["customer_profile_6h:mean_amount_30d"]
    assert seen["low"] - 1e-3 <= rows[:, column].min()
    assert rows[:, column].max() <= seen["edges"][-1] + 1e-3
    inside = float((rows[:, column] <= seen["edges"][4]).mean())
    assert inside == pytest.approx(0.5, abs=0.1)
    assert about.startswith("500 vectors; 34 of 40 features")


# --- in turn ---------------------------------------------------------------------------------


def test_every_contender_is_measured_in_every_round_and_another_one_begins() -> None:
    contenders = [curve(setting).contender for setting in (OFF, AT_ONCE, WAITING)]
    asked: list[tuple[Setting, int]] = []

    def measure(contender: Contender, concurrency: int) -> Measured:
        asked.append((contender.setting, concurrency))
        if (contender.setting, concurrency, len(asked) > 6) == (AT_ONCE, 4, True):
            raise NoFigures("exit 99")
        return figures(100.0)

    curves = sweep(contenders, [4, 1], 2, measure, lambda _: None)
    assert asked[:6] == [(s, c) for c in (1, 4) for s in (OFF, AT_ONCE, WAITING)]
    assert asked[6:] == [(s, c) for c in (1, 4) for s in (AT_ONCE, WAITING, OFF)]
    rounds = [[len(point.measured) for point in one.points] for one in curves]
    assert rounds == [[2, 2], [2, 1], [2, 2]]
    assert curves[1].points[1].rounds[1] is None


# --- the choice ------------------------------------------------------------------------------


def chosen(*curves: Curve) -> Choice:
    return choose(curves, BUDGET, PLAN)


def test_dynamic_batching_without_a_delay_is_where_it_begins() -> None:
    choice = chosen(flat(OFF, 100, 100, 100), flat(AT_ONCE, 600, 600, 600))
    assert choice.setting == AT_ONCE
    assert choice.agrees
    assert choice.reasons[0] == "max_batch_size 128: the release's own, kept."
    assert "600/s are above the plan's 500/s" in choice.reasons[-2]


def test_a_delay_that_every_round_shows_to_be_better_is_proposed() -> None:
    choice = chosen(flat(AT_ONCE, 100, 50, 100), flat(WAITING, 130, 60, 120))
    assert choice.setting == WAITING
    assert choice.agrees is False
    assert "proposed: {dynamic: true, max_queue_delay_us: 2000}" in choice.reasons[-1]
    assert "BELOW the plan's 500/s" in choice.reasons[-2]


def test_a_proposal_says_when_the_plan_would_do_as_well() -> None:
    choice = chosen(flat(AT_ONCE, 600, 600, 600), flat(WAITING, 900, 900, 900))
    assert choice.setting == WAITING
    assert "[on, delay 0 us] holds budget and floor too" in choice.reasons[-1]


@pytest.mark.parametrize(
    ("throughputs", "why"),
    [
        ((200, 200, 99), "2.00 of"),
        ((104, 104, 104), "1.04 of"),
        ((200, 200), "too few rounds (2)"),
    ],
)
def test_a_difference_that_is_not_sure_or_not_worth_it_changes_nothing(
    throughputs: tuple[float, ...], why: str
) -> None:
    base = (100.0,) * len(throughputs)
    choice = chosen(flat(AT_ONCE, *base), flat(WAITING, *throughputs))
    assert choice.setting == AT_ONCE
    assert why in choice.reasons[2]


def test_a_delay_outside_the_budget_is_not_taken_however_much_it_gains() -> None:
    choice = chosen(flat(AT_ONCE, 100, 100, 100), flat(WAITING, 900, 900, 900, p95=51))
    assert choice.setting == AT_ONCE
    assert "no point inside 50 ms" in choice.reasons[2]


def test_nothing_inside_the_budget_is_said_and_nothing_proposed() -> None:
    choice = chosen(flat(AT_ONCE, 900, 900, 900, p95=51))
    assert (choice.setting, choice.agrees) == (None, None)
    assert "latency_slo does not hold" in choice.reasons[-1]


def test_only_a_round_that_both_have_is_compared() -> None:
    without = curve(WAITING, [figures(130), None, figures(130), figures(130)])
    choice = chosen(flat(AT_ONCE, 100, 900, 100, 100), without)
    assert choice.setting == WAITING


def test_the_best_point_is_the_fastest_one_whose_p95_is_inside() -> None:
    measured = curve(AT_ONCE, [figures(100, 1)], [figures(300, 40)], [figures(900, 51)], [None])
    best = best_inside(measured, BUDGET.predictor_ms)
    assert best is not None
    assert best.concurrency == 4


def test_what_the_rest_of_the_path_takes_is_given_or_said_to_be_assumed() -> None:
    assumed, given = budget_of(PLAN, None), budget_of(PLAN, 40.0)
    assert assumed.predictor_ms == PLAN.latency_slo.p95_ms / 2
    assert assumed.assumption.startswith("assumed")
    assert given.predictor_ms == PLAN.latency_slo.p95_ms - 40
    assert given.assumption.startswith("given")


# --- shown -----------------------------------------------------------------------------------


def test_text_data_and_page_hold_every_point(tmp_path: Path) -> None:
    result = found(
        curve(OFF, [figures(1000, 5)] * 3, [None] * 3),
        curve(AT_ONCE, [figures(n, 7) for n in (1900, 2000, 2100)], [figures(4000, 60)] * 3),
    )
    text = as_text(result)
    assert "| embedded | off | 4 | - | - | - | - | - | - |" in text
    assert "| on, delay 0 us | 1 | 2,000 (1,900-2,100) | 3.5 | 7.0 | 14.0 | 3.0 | 1.0 |" in text
    assert "50 ms are left for the predictor" in text
    data = as_data(result)
    assert data["predictors"][0]["points"][1]["rounds"] == [None] * 3
    assert data["choice"]["setting"] == {"dynamic": True, "delay_us": 0}
    write_report(result, tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text()) == json.loads(json.dumps(data))
    page = (tmp_path / "sweep.html").read_text()
    assert page.count("<circle") == 2 * 3
    assert "the plan&#39;s p95: 150 ms" in page


def test_a_deployed_predictor_is_set_beside_the_embedded_one() -> None:
    there = curve(AT_ONCE, [figures(50, 20)], [None], where="kind")
    here = curve(AT_ONCE, [figures(100, 5)], [figures(100, 5)])
    text = as_text(found(here, there, varied=False))
    assert "at 1 0.50 of the throughput and 4.00 times the p95." in text


def test_the_budget_lies_above_what_is_faster_and_below_what_is_slower() -> None:
    measured = curve(AT_ONCE, [figures(100, 1)], [figures(200, 40)], [figures(300, 400)])
    picture = latency_picture([measured], BUDGET)
    marks = picture.chart.marks
    whole, left = (m.start[1] for m in marks if isinstance(m, Rule) and not m.faint)
    fast, middle, slow = (m for m in marks if isinstance(m, Dot))
    assert slow.y < whole < left < middle.y < fast.y
    assert fast.x < middle.x < slow.x
    labels = [m.text for m in marks if isinstance(m, Label)]
    assert labels[2:] == ["1", "4", "16"]


def test_every_setting_has_a_colour_of_its_own() -> None:
    settings = [OFF, AT_ONCE, Setting(True, 500), WAITING]
    there = replace(flat(AT_ONCE, 1), contender=replace(flat(AT_ONCE, 1).contender, where="kind"))
    picture = batch_picture([*(flat(one, 100) for one in settings), there])
    colours = [key.tone for key in picture.legend]
    assert [m.tone for m in picture.chart.marks if isinstance(m, ChartCurve)] == colours
    assert len(set(colours)) == len(colours)
    assert colours[0] == "baseline"
    assert colours[-1] == "ink"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--concurrency", "1,,4"), ("--concurrency", "0"), ("--delay-us", "soon")],
)
def test_numbers_that_are_none_are_refused(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("proviso.bench.sweep_analyzer.check_home", lambda: None)
    done = call("bench", "sweep", option, value)
    assert done.code == 2
    assert f"{option}: found '{value}', wanted numbers from" in done.err


def test_what_else_the_config_says_of_batching_is_kept(tmp_path: Path) -> None:
    release = read_release(RELEASE)
    copy = release_with(release, OFF, tmp_path / "copy")
    nested = "dynamic_batching { default_queue_policy { max_queue_size: 8 } }\n"
    copy.config_file.write_text(nested + copy.config_file.read_text())
    kept = parsed_config(release_with(copy, WAITING, tmp_path / "second"))
    assert kept.dynamic_batching.default_queue_policy.max_queue_size == 8
    assert kept.dynamic_batching.max_queue_delay_microseconds == WAITING.delay_us


def test_a_config_that_triton_would_not_read_is_refused(tmp_path: Path) -> None:
    copy = release_with(read_release(RELEASE), OFF, tmp_path / "copy")
    copy.config_file.write_text("dynamic_batching {")
    with pytest.raises(InputError) as refused:
        own_setting(copy)
    assert [problem.code for problem in refused.value.problems] == ["model_config_unreadable"]
