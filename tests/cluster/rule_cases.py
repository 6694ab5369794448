"""What the rules of the example's plan must say of made-up counters: for test_promtool.py.

A case is a set of series, a moment, and every alert that fires then: one that is not named here
must not fire. Counters are `start+step x count` in promtool's notation, a step being 15 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

A, B = "r-aaaaaaaaaaaaaaaa", "r-bbbbbbbbbbbbbbbb"
STEPS = 260  # of 15 s: 65 minutes
SECONDS = 15
Series = Mapping[str, str]
Firing = tuple[str, str, str, str]
"""alertname, release, traffic, severity; empty where the alert has none."""


@dataclass(frozen=True)
class Case:
    """`firing` at `minute`, and nothing beside it; `values` of expressions then."""

    name: str
    series: Series
    minute: int
    firing: frozenset[Firing] = frozenset()
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Traffic:
    """Requests of one release and traffic; all figures a step.

    answered, failed (503), mistaken (400): requests. slow: the part of the answered that takes
    200 ms, the rest takes 3. missing (the mean of two views), nulls (of the second), review,
    defaults: shares of the answered. counted: without it the pod counts no features.
    """

    release: str
    traffic: str = "live"
    answered: float = 100
    failed: float = 0
    mistaken: float = 0
    slow: float = 0.0
    missing: float = 0.0
    nulls: float = 0.0
    review: float = 0.01
    defaults: float = 0.1
    counted: bool = True
    ends: int = STEPS

    @property
    def series(self) -> dict[str, str]:
        return {name: self._counter(step) for name, step in self._steps()}

    def _counter(self, step: float) -> str:
        """Grows until `ends`, then stands still."""
        still = f" {step * self.ends:g}+0x{STEPS - self.ends}" if self.ends < STEPS else ""
        return f"0+{step:g}x{self.ends}{still}"

    def _name(self, series: str, **labels: str) -> str:
        own = {
            "model_name": "fraud-risk",
            "release": self.release,
            "traffic": self.traffic,
            "pod": "p",
        }
        inside = ", ".join(f'{name}="{value}"' for name, value in (own | labels).items())
        return f"{series}{{{inside}}}"

    def _steps(self) -> Iterator[tuple[str, float]]:
        yield from self._requests()
        yield from self._latency()
        decided = self.answered
        for word, share in (("REVIEW", self.review), ("APPROVE", 1 - self.review)):
            yield self._name("proviso_decisions_total", decision=word), decided * share
        if self.counted:
            yield from self._features()

    def _requests(self) -> Iterator[tuple[str, float]]:
        name = "proviso_requests_total"
        for code, reason, count in (
            ("200", "ok", self.answered),
            ("503", "store", self.failed),
            ("400", "bad_input", self.mistaken),
        ):
            if count or code == "200":
                yield self._name(name, protocol="v2", code=code, reason=reason), count

    def _latency(self) -> Iterator[tuple[str, float]]:
        name, quick = "proviso_request_duration_seconds", self.answered * (1 - self.slow)
        for bound, count in (
            ("0.003", quick),
            ("0.15", quick),
            ("0.2", self.answered),
            ("+Inf", self.answered),
        ):
            yield self._name(f"{name}_bucket", part="total", le=bound), count
        yield self._name(f"{name}_count", part="total"), self.answered

    def _features(self) -> Iterator[tuple[str, float]]:
        status, feature = "proviso_feature_status_total", "f1"
        for view, missing, nulls in (("one", self.missing * 2, 0.0), ("two", 0.0, self.nulls)):
            shares = {"OK": 1 - missing - nulls, "MISSING_KEY": missing, "NULL": nulls}
            for word, share in shares.items():
                named = self._name(status, view=view, feature=feature, status=word)
                yield named, self.answered * share
        used = self._name("proviso_default_used_total", feature="one:f1", reason="MISSING_KEY")
        yield used, self.answered * self.defaults


def pods(*releases: str, store: int = 1, up: str = "1", ready: int = 2) -> dict[str, str]:
    """Two transformers and two predictors a release, as Prometheus sees them."""
    found = {}
    for release in releases:
        for job in ("transformer", "triton"):
            for i in range(ready):
                own = f'model_name="fraud-risk", release="{release}", unit="u-{release}"'
                found[f'up{{{own}, job="{job}", instance="{i}"}}'] = f"{up}x{STEPS}"
        for dependency, state in (("store", store), ("predictor", 1)):
            own = f'model_name="fraud-risk", release="{release}", dependency="{dependency}"'
            found[f'proviso_dependency_up{{{own}, instance="0"}}'] = f"{state}x{STEPS}"
    return found


def breach(metric: str, release: str, trigger: str = "RollbackOn") -> set[Firing]:
    """Both alerts of a serving release outside of a bound."""
    action = "rollback" if trigger == "RollbackOn" else "hold"
    return {
        (f"{metric}OutOfBounds", release, "live", action),
        (f"{trigger}{metric}", release, "live", action),
    }


def case(
    name: str,
    *traffic: Traffic,
    minute: int = 60,
    others: Series | None = None,
    firing: set[Firing] | None = None,
    values: Mapping[str, float | None] | None = None,
) -> Case:
    """A case over pods that are all up, unless `others` says something else of them."""
    series = dict(pods(A, B) if others is None else others)
    for one in traffic:
        series |= one.series
    return Case(name, series, minute, frozenset(firing or ()), values or {})


def value(series: str, release: str = B, traffic: str = "live") -> str:
    """A recorded figure without its labels, so that a case names a number only."""
    return f'sum({series}{{release="{release}", traffic="{traffic}"}})'


BUDGET_PAGES = {
    ("ErrorBudgetBurns1h", "", "live", "alert"),
    ("ErrorBudgetBurns6h", "", "live", "alert"),
    ("ErrorBudgetBurns3d", "", "live", "alert"),
}
GOOD = Traffic(A)
IDENTITY = (
    f'proviso_requests_total{{model_name="fraud-risk", release="{B}", traffic="live", '
    'protocol="v2", code="503", reason="identity"}'
)

CASES = (
    case(
        "every figure has its value",
        GOOD,
        Traffic(B, missing=0.02, nulls=0.3, review=0.03, slow=0.5, mistaken=7, defaults=0.25),
        firing=breach("LatencyP95Ms", B),
        values={
            value("release_traffic:request_rate:5m"): 107 / SECONDS,
            value("release_traffic:answer_rate:5m"): 100 / SECONDS,
            value("release_traffic:latency_p95_ms:5m"): 195,
            value("release_traffic:latency_p99_ms:5m"): 199,
            value("release_traffic:http_error_rate:5m"): 0,
            value("release_traffic:feature_missing_rate:5m"): 0.02,
            value("release_traffic:review_rate:30m"): 0.03,
            value("release_traffic:default_used_rate:1d"): 0.25,
            value("release_traffic:feature_null_rate:1d"): 0.3,
        },
    ),
    case("nothing fires while all bounds hold", GOOD, Traffic(B, missing=0.02)),
    case(
        "no series at all: only that there is no target",
        others={},
        firing={("NoTarget", "", "", "hold")},
        minute=10,
    ),
    case("pods and no request ever: nothing to judge"),
    case(
        "a release without requests is not judged beside one that has some",
        GOOD,
        Traffic(B, answered=0),
        values={
            value("release_traffic:latency_p95_ms:5m"): None,
            value("release_traffic:http_error_rate:5m"): None,
            value("release_traffic:review_rate:30m"): None,
        },
    ),
    case("latency over its bound", GOOD, Traffic(B, slow=0.06), firing=breach("LatencyP95Ms", B)),
    case("latency within it", GOOD, Traffic(B, slow=0.04)),
    case(
        "errors of one release do not touch the other; the budget is everybody's",
        GOOD,
        Traffic(B, failed=10),
        firing=breach("HttpErrorRate", B) | BUDGET_PAGES,
        values={
            value("release_traffic:http_error_rate:5m"): 10 / 110,
            value("release_traffic:http_error_rate:5m", A): 0,
        },
    ),
    case("a client's mistakes are no errors", GOOD, Traffic(B, mistaken=80)),
    case(
        "fourteen requests in five minutes are no verdict",
        GOOD,
        Traffic(B, answered=0.35, failed=0.35),
        firing={("ErrorBudgetBurns3d", "", "live", "alert")},
    ),
    case(
        "thirty are one",
        GOOD,
        Traffic(B, answered=0.75, failed=0.75),
        firing=breach("HttpErrorRate", B)
        | {(f"ErrorBudgetBurns{w}", "", "live", "alert") for w in ("6h", "3d")},
    ),
    case(
        "missing features hold, since both releases would suffer alike",
        GOOD,
        Traffic(B, missing=0.1),
        firing=breach("FeatureMissingRate", B, "HoldOn"),
    ),
    case("reviews over their bound", GOOD, Traffic(B, review=0.09), firing=breach("ReviewRate", B)),
    case(
        "nulls over their bound only alert",
        GOOD,
        Traffic(B, nulls=0.7),
        firing={("FeatureNullRateOutOfBounds", B, "live", "alert")},
    ),
    case(
        "defaults over their bound only alert",
        GOOD,
        Traffic(B, defaults=0.7),
        firing={("DefaultUsedRateOutOfBounds", B, "live", "alert")},
    ),
    case(
        "a broken shadow holds the candidate and rolls nothing back, nor costs the budget",
        GOOD,
        Traffic(B, traffic="shadow", failed=50, slow=0.5, review=0.5, missing=0.2),
        firing={
            (f"{metric}OutOfBounds", B, "shadow", "hold")
            for metric in ("HttpErrorRate", "LatencyP95Ms", "ReviewRate", "FeatureMissingRate")
        },
    ),
    case(
        "a bad shadow traffic of the very release that serves well",
        GOOD,
        Traffic(B),
        Traffic(B, traffic="shadow", failed=50),
        firing={("HttpErrorRateOutOfBounds", B, "shadow", "hold")},
    ),
    case(
        "answers without feature counters: the measurement is broken, the release is not judged",
        GOOD,
        Traffic(B, counted=False),
        firing={
            (f"{metric}Unmeasured", B, "live", "hold")
            for metric in ("FeatureMissingRate", "FeatureNullRate")
        },
    ),
    case(
        "a breach that has stopped with its traffic is over, and the silence is said",
        Traffic(A, ends=200),
        Traffic(B, failed=10, ends=200),
        minute=62,
        firing={("NoTraffic", "", "live", "hold"), *BUDGET_PAGES}
        - {("ErrorBudgetBurns1h", "", "live", "alert")},
    ),
    case(
        "a pair that is not one release, with the first sample that says so",
        GOOD,
        Traffic(B, answered=0),
        others=pods(A, B) | {IDENTITY: f"_x10 3x{STEPS}"},
        minute=3,
        firing={("IdentityRefused", B, "live", "rollback")},
    ),
    case(
        "the store is down for everybody",
        GOOD,
        others=pods(A, B, store=0),
        firing={
            ("StoreDown", "", "", "hold"),
            ("DependencyDown", A, "", "hold"),
            ("DependencyDown", B, "", "hold"),
        },
    ),
    case(
        "one release does not reach the store: that is its own affair",
        GOOD,
        others=pods(A) | pods(B, store=0),
        firing={("DependencyDown", B, "", "hold")},
    ),
    case(
        "pods that are not scraped",
        GOOD,
        others=pods(A) | pods(B, up="0"),
        firing={("TargetDown", B, "", "hold"), ("TooFewReady", B, "", "alert")},
    ),
    case(
        "one ready pod where the plan says two",
        GOOD,
        others=pods(A) | pods(B, ready=1),
        firing={("TooFewReady", B, "", "alert")},
    ),
)
