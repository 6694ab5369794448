"""Which views a writer brings up to date: those of the releases in force, or of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.plan import Plan
from proviso.contracts.section import consumed_views, service_of
from proviso.release.directory import read_release


def views_to_write(
    contract: Contract, plan: Plan, releases: Sequence[Path], names: Sequence[str]
) -> list[FeatureView]:
    """The views that the releases read (none given: the plan's service); `names` narrows them."""
    views = _views_of(contract, releases) if releases else None
    known = views or consumed_views(contract, service_of(contract, plan))
    unknown = set(names) - {view.name for view in known}
    if unknown:
        wanted = f"one of {', '.join(view.name for view in known)}"
        raise InputError.of("--view", repr(min(unknown)), wanted, code="view_unknown")
    return [view for view in known if not names or view.name in names]


def _views_of(contract: Contract, releases: Sequence[Path]) -> list[FeatureView]:
    """The views of all releases in force; each must have the contract's schema."""
    views: dict[str, FeatureView] = {}
    for directory in releases:
        for view in read_release(directory).service.views:
            defined = contract.view_by_name.get(view.name)
            wanted = contract.schema_of(defined) if defined else "no such view"
            if defined is None or wanted != view.schema:
                raise InputError.of(
                    f"{directory}: view {view.name}",
                    f"schema {view.schema}",
                    wanted,
                    "the history holds rows of the contract's schema",
                    code="view_schema_mismatch",
                )
            views[view.name] = defined
    return list(views.values())
