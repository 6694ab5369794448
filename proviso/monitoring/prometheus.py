"""Prometheus's rule files and scrape configurations as typed values.

rules.py and scrape.py build these. Only the keys that they use are modelled; others are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field

from proviso.contracts.base import Strict

Span = Annotated[str, Field(pattern=r"^(\d+[dhms])+$")]
"""A duration as Prometheus writes it, `1h30m`."""

SeriesName = Annotated[str, Field(pattern=r"^[a-z_]+(:[a-z0-9_]+)+$")]
"""level:figure:window, so that a recorded series never looks like a scraped one."""


class _Model(Strict):
    model_config = ConfigDict(populate_by_name=True)


class RecordingRule(_Model):
    record: SeriesName
    expr: str


class AlertRule(_Model):
    """`hold` is Prometheus's `for`: how long the expression must hold before the alert fires."""

    alert: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]+$")]
    expr: str
    hold: Annotated[Span | None, Field(alias="for")] = None
    labels: dict[str, str]
    annotations: dict[str, str]


class RuleGroup(_Model):
    """Rules evaluated one after another at the same moment."""

    name: str
    interval: Span
    rules: Annotated[list[RecordingRule | AlertRule], Field(min_length=1)]


class RuleFile(_Model):
    groups: list[RuleGroup]


class Relabel(_Model):
    """One step over a target's, or a series', labels. Defaults are Prometheus's."""

    source_labels: list[str] | None = None
    regex: str | None = None
    target_label: str | None = None
    replacement: str | None = None
    action: Literal["replace", "drop", "labeldrop"] | None = None


class DnsDiscovery(_Model):
    """Targets are the addresses that a name resolves to."""

    names: list[str]
    type: Literal["A"]
    port: int
    refresh_interval: Span


class ScrapeJob(_Model):
    """One kind of target. Limits bound what a broken or hostile pod can make Prometheus hold."""

    job_name: str
    honor_labels: Literal[False]
    honor_timestamps: Literal[False]
    follow_redirects: Literal[False]
    metrics_path: str
    body_size_limit: str
    sample_limit: int
    label_limit: int
    label_value_length_limit: int
    dns_sd_configs: list[DnsDiscovery]
    relabel_configs: list[Relabel]
    metric_relabel_configs: list[Relabel]


class Global(_Model):
    scrape_interval: Span
    scrape_timeout: Span
    evaluation_interval: Span


class ServerConfig(_Model):
    """Prometheus's configuration file; `everywhere` is its key `global`."""

    everywhere: Annotated[Global, Field(alias="global")]
    rule_files: list[str]
    scrape_configs: list[ScrapeJob]


def text_of(model: RuleFile | ServerConfig, head: str) -> str:
    """The file: comment lines, then YAML in the order of the model, the same every time."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return comment + yaml.dump(
        model.model_dump(by_alias=True, exclude_none=True),
        Dumper=_Readable,
        sort_keys=False,
        width=100_000,
        allow_unicode=True,
    )


class _Readable(yaml.SafeDumper):
    """No anchors, and lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)
