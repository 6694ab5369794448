"""What Prometheus scrapes: the pods of the units that may serve, under names they cannot choose."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from proviso.contracts.loading import load_plan
from proviso.monitoring.prometheus import ScrapeJob, ServerConfig
from proviso.monitoring.scrape import (
    RULES,
    RULES_PATH,
    SCRAPE,
    config_digest,
    prometheus_files,
    scrape_config,
    scrape_text,
)
from proviso.rollout.deployed import DeployedRelease

ROOT = Path(__file__).parents[3]
STABLE = DeployedRelease("fraud-risk", "2.4.0", "r-4444444444444444", {})
CANDIDATE = DeployedRelease("fraud-risk", "2.5.0", "r-5555555555555555", {})
UNITS = (CANDIDATE, STABLE)


def job(name: str) -> ScrapeJob:
    (found,) = (j for j in scrape_config(UNITS).scrape_configs if j.job_name == name)
    return found


def labels_of(of: ScrapeJob, dns_name: str) -> dict[str, str]:
    """What relabelling leaves a target with; a regex is anchored, as in Prometheus."""
    found = {}
    for step in of.relabel_configs:
        assert step.source_labels == ["__meta_dns_name"]
        assert step.regex is not None
        if re.fullmatch(step.regex, dns_name):
            assert step.target_label is not None
            assert step.replacement is not None
            found[step.target_label] = step.replacement
    return found


def test_both_units_are_asked_for_by_their_services_names() -> None:
    for name, port, services in (
        ("transformer", 8080, [CANDIDATE.public, STABLE.public]),
        ("triton", 8002, [CANDIDATE.triton, STABLE.triton]),
    ):
        (found,) = job(name).dns_sd_configs
        assert found.port == port
        assert found.names == [f"{service}.proviso.svc.cluster.local." for service in services]


def test_the_name_that_was_found_decides_the_release() -> None:
    for name in ("transformer", "triton"):
        (discovery,) = job(name).dns_sd_configs
        for unit, dns_name in zip(UNITS, discovery.names, strict=True):
            assert labels_of(job(name), dns_name) == {
                "unit": unit.name,
                "model_name": unit.model_name,
                "version": unit.version,
                "release": unit.release_id,
            }


def test_what_a_pod_says_of_itself_does_not_count() -> None:
    for found in scrape_config(UNITS).scrape_configs:
        assert found.honor_labels is False
        assert found.honor_timestamps is False
        steps = found.metric_relabel_configs
        assert [step.action for step in steps] == ["labeldrop", "drop", None, None, None]


def test_a_pod_cannot_fill_the_server() -> None:
    for found in scrape_config(UNITS).scrape_configs:
        assert 0 < found.sample_limit <= 20_000
        assert found.body_size_limit == "4MB"
        assert 0 < found.label_limit <= 30


def test_the_text_is_the_configuration() -> None:
    assert ServerConfig.model_validate(yaml.safe_load(scrape_text(UNITS))) == scrape_config(UNITS)


def test_the_files_of_a_plan() -> None:
    plan = load_plan(ROOT / "contracts")
    files = prometheus_files(plan, UNITS)
    assert files == prometheus_files(plan, UNITS)
    assert list(files) == [RULES, SCRAPE]


def test_the_digest_changes_with_any_file_and_not_with_their_order() -> None:
    files = {"a": "1", "b": "2"}
    assert config_digest(files) == config_digest({"b": "2", "a": "1"})
    others = ({"a": "1"}, {"a": "2", "b": "1"}, {"a": "12", "b": ""}, {"a": "1", "c": "2"})
    assert len({config_digest(other) for other in (files, *others)}) == 5


def test_the_component_mounts_what_the_configuration_names() -> None:
    text = (ROOT / "k8s/components/prometheus/prometheus.yaml").read_text(encoding="utf-8")
    _, _, deployment = yaml.safe_load_all(text)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    maps = {v["name"]: v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert maps == {"rules": "prometheus-rules", "scrape": "prometheus-scrape"}
    assert f"{mounts['rules']}/{RULES}" == RULES_PATH
    assert f"--config.file={mounts['scrape']}/{SCRAPE}" in container["args"]
    assert pod["automountServiceAccountToken"] is False
