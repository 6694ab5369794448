"""The report page as text: well formed, self-contained, escaped, and never at a loss."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from proviso.demo import charts
from proviso.demo.report import RefusedRequest, ReportData, write_report
from proviso.pages.charts import Bar, Curve, Dot
from tests.report_data import LONG_VIEW, example_report, verdict

HOSTILE = "\"><script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>{{ 7*7 }}"
SECTIONS = {
    "verdicts", "figures", "quality", "serving", "refusals", "sample", "left-out", "steps",
    "repeat",
}  # fmt: skip
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects elements and text; a tag closed out of order is a mistake."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.mistakes: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if len(dict(attrs)) != len(attrs):
            self.mistakes.append(f"<{tag}> repeats an attribute")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get("id"))]


def written(data: ReportData, tmp_path: Path) -> str:
    write_report(data, tmp_path / "report" / "index.html")
    return (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_has_every_section(tmp_path: Path) -> None:
    page = Page(written(example_report(), tmp_path))
    assert page.mistakes == []
    assert page.open == []
    assert set(page.ids) >= SECTIONS
    assert len(page.ids) == len(set(page.ids))
    targets = {href[1:] for _, a in page.elements if (href := a.get("href") or "").startswith("#")}
    assert targets <= set(page.ids)


def test_the_page_says_what_was_decided_asked_refused_and_how_to_repeat_it(tmp_path: Path) -> None:
    text = Page(written(example_report(), tmp_path)).text
    for wanted in (
        "Every verdict came out as intended.",
        "Shadow, tampered with",
        "replay: 1 answer differs",
        "Average precision 0.612 baseline 0.287",
        "ROC AUC 0.871",
        "Entity precision @100 0.294",
        "Requests replayed 500",
        "Mismatches 0",
        "6.0e-08",
        "known_bad = 1",
        "HOLD",
        "80 rows without a score or a known label are not shown",
        "far from the clock",
        "2018-08-02T03:00:00Z",
        "48.8 s",
        "1 min 9 s",
        "make demo",
    ):
        assert wanted in text


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    html = written(example_report(), tmp_path)
    page = Page(html)
    assert {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed"} == set()
    loaded = [a[k] for _, a in page.elements for k in ("src", "href", "xlink:href") if k in a]
    assert [target for target in loaded if target and not target.startswith(("#", "data:"))] == []
    assert re.findall(r"url\(|@import|https?:", html) == []
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_drawing_says_in_words_what_it_shows(tmp_path: Path) -> None:
    page = Page(written(example_report(), tmp_path))
    drawings = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(drawings) >= 7
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in drawings)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    data = example_report()
    replay = dict(data.replay) | {
        "statuses": {HOSTILE: {HOSTILE: 3, "OK": 4}},
        "strata": {HOSTILE: 5},
        "latency_ms": {HOSTILE: [1.0, 2.0]},
        "feature_age_s": {HOSTILE: [1.0, 2.0]},
        "left_out": {"view": HOSTILE, "runs": [0], "transactions": 1},
        "mismatches": [
            dict.fromkeys(("request_id", "protocol", "what", "found", "wanted"), HOSTILE)
        ],
        "mismatch_count": 1,
    }
    decision = {"at_or_above": HOSTILE, "below": HOSTILE}
    finding = {"check": HOSTILE, "ok": False, "detail": HOSTILE}
    release = {
        "id": HOSTILE,
        "model": HOSTILE,
        "digests": {HOSTILE: HOSTILE},
        "service": {"decision": decision},
        "card": {"metrics": {"model": {HOSTILE: 0.5}}, "data": {"train_days": [HOSTILE, "b"]}},
    }
    hostile = replace(
        data,
        title=HOSTILE,
        label_name=HOSTILE,
        release=release,
        replay=replay,
        refusals=[RefusedRequest(HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
        verdicts=[
            {
                "title": HOSTILE,
                "passed": False,
                "findings": [finding],
                "evidence": {HOSTILE: HOSTILE},
            }
        ],
        steps=[(HOSTILE, 1.0)],
        commands=[HOSTILE],
    )
    page = Page(written(hostile, tmp_path))
    assert page.mistakes == []
    assert {tag for tag, _ in page.elements} & {"script", "img"} == set()
    assert [a for _, a in page.elements if "onerror" in a] == []
    assert page.text.count("<script>alert('x')</script>") >= 15
    assert "{{ 7*7 }}" in page.text


def test_a_verdict_that_nobody_intended_cannot_be_overlooked(tmp_path: Path) -> None:
    leaked = verdict("shadow", passed=True, expected=False)
    text = Page(written(replace(example_report(), verdicts=[leaked]), tmp_path)).text
    assert "1 of 1 verdicts did not come out as intended." in text
    assert "NOT as intended" in text


def test_answers_that_differ_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    data = example_report()
    one = {"protocol": "v1", "what": "probability", "found": "0.9", "wanted": "0.1"}
    wrong = [one | {"request_id": f"replay-{i}"} for i in range(30)]
    replay = dict(data.replay) | {
        "mismatches": wrong,
        "mismatch_count": 44,
        "max_probability_difference": math.inf,
    }
    text = Page(written(replace(data, replay=replay), tmp_path)).text
    assert "replay-9 (v1)" in text
    assert "and 34 more" in text
    assert "\u221e" in text


@pytest.mark.parametrize(
    ("scores", "labels", "said"),
    [
        ([], [], "No curve"),
        ([0.1, 0.9], [None, math.nan], "No distribution"),
        ([0.1, 0.9], [0.0, 0.0], "No curve"),
        ([0.1, 0.9], [1.0, 1.0], "No curve"),
        ([math.nan, math.nan], [0.0, 1.0], "No curve"),
        ([0.1, 0.2], [0.0, 1.0], "No score reaches the threshold 0.5"),
        ([0.7, 0.7, 0.7], [0.0, 1.0, math.nan], "50 of 100 decided HOLD"),
    ],
    ids=["nothing", "no label", "no positive", "no negative", "no score", "all below", "constant"],
)
def test_labels_that_allow_no_curve_are_said_so(
    tmp_path: Path, scores: list[float], labels: list[float | None], said: str
) -> None:
    data = replace(example_report(), scores=scores, labels=labels, baseline_scores=None)
    page = Page(written(data, tmp_path))
    assert said in page.text
    assert page.mistakes == []


@pytest.mark.parametrize("values", [[], [math.nan], [None], [0.0], [3.3, 3.3]], ids=str)
def test_latencies_and_ages_of_any_kind_make_a_page(
    tmp_path: Path, values: list[float | None]
) -> None:
    data = example_report()
    replay = dict(data.replay) | {"latency_ms": {"v1": values}, "feature_age_s": {"v": values}}
    html = written(replace(data, replay=replay, freshness={}), tmp_path)
    page = Page(html)
    assert page.mistakes == []
    assert "nan" not in html


def test_without_any_evidence_the_page_says_so_in_every_section(tmp_path: Path) -> None:
    empty = ReportData(
        title="Nothing yet",
        release={},
        replay={},
        scores=[],
        labels=[],
        refusals=[],
        verdicts=[],
        steps=[],
        threshold=0.5,
        freshness={},
    )
    page = Page(written(empty, tmp_path))
    assert set(page.ids) >= SECTIONS
    for said in (
        "No gate has judged",
        "not measured",
        "No latency",
        "No ages",
        "Nothing was refused",
        "No request was replayed",
        "No run was left out",
        "No step was timed",
    ):
        assert said in page.text


def test_a_big_rehearsal_stays_a_small_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = example_report()
    labels = (rng.random(300_000) < 0.01).astype(float)
    scores = rng.random(300_000)
    replay = dict(data.replay) | {
        "latency_ms": {name: rng.lognormal(1, 1, 50_000).tolist() for name in ("v1", "v2", "grpc")},
        "feature_age_s": {LONG_VIEW: rng.uniform(0, 1e6, 100_000).tolist()},
    }
    refusals = [RefusedRequest("long", "x" * 100_000, "400", "y" * 100_000)] * 50
    big = replace(
        data, labels=labels.tolist(), scores=scores.tolist(), baseline_scores=scores.tolist(),
        replay=replay, refusals=refusals,
    )  # fmt: skip
    assert len(written(big, tmp_path)) < 1_000_000


def test_a_page_that_cannot_be_made_leaves_the_old_one_alone(tmp_path: Path) -> None:
    before = written(example_report(), tmp_path)
    broken = replace(example_report(), verdicts=[{"stage": "shadow"}])
    with pytest.raises(KeyError):
        write_report(broken, tmp_path / "report" / "index.html")
    assert (tmp_path / "report" / "index.html").read_text(encoding="utf-8") == before
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


def test_the_same_data_makes_the_same_page(tmp_path: Path) -> None:
    assert written(example_report(), tmp_path) == written(example_report(), tmp_path)


def test_text_has_enough_contrast_in_both_colour_schemes(tmp_path: Path) -> None:
    html = written(example_report(), tmp_path)
    schemes = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", scheme))
        for ground in ("page", "paper"):
            for ink in ("ink", "quiet", "model", "good", "warn", "bad"):
                assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
        assert contrast(colour["good"], colour["good-soft"]) >= 4.5
        assert contrast(colour["bad"], colour["bad-soft"]) >= 4.5
        for shape in ("baseline", "positive", "negative", "missing"):
            assert contrast(colour[shape], colour["paper"]) >= 3


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_curve_passes_through_the_threshold_point() -> None:
    labels = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    scores = np.array([0.1, 0.2, 0.6, 0.55, 0.9])
    quality = charts.quality(scores, labels, None, 0.5)
    assert quality is not None
    assert quality.at_threshold == pytest.approx((1, 2 / 3))
    [dot] = (mark for mark in quality.chart.marks if isinstance(mark, Dot))
    [curve] = (mark for mark in quality.chart.marks if isinstance(mark, Curve))
    assert (dot.x, dot.y) in curve.points
    assert quality.base_rate == pytest.approx(0.4)


def test_every_value_is_counted_once_in_a_histogram() -> None:
    rng = np.random.default_rng(2)
    panels = charts.latency_panels({"v1": rng.lognormal(1, 1, 1_000).tolist()})
    assert sum(count(bar.title) for bar in bars(panels[0])) == 1_000
    ages = charts.age_panels(
        {"view": [10.0, 50.0, 70.0, 1e9]}, {"view": {"slo_s": 40, "ttl_s": 60}}
    )
    assert [(count(bar.title), bar.tone) for bar in bars(ages[0])] == [
        (1, "good"), (1, "warn"), (1, "bad"),
    ]  # fmt: skip
    assert "25.0% within 40 s, 1 beyond the axis" in ages[0].note


def bars(panel: charts.Panel) -> list[Bar]:
    return [mark for mark in panel.chart.marks if isinstance(mark, Bar)]


def count(title: str) -> int:
    return int(title.split()[0].replace(",", ""))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.42, "0.42 s"), (48.84, "48.8 s"), (90, "1 min 30 s"), (5_400, "1 h 30 min"),
     (90_000, "1 d 1 h"), (86_400, "1 d")],
)  # fmt: skip
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert charts.duration(seconds) == text
