"""Prometheus's own tool over the rendered files: they load, and the rules mean what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from proviso.contracts.loading import PLAN_FILE, load_plan, parse_yaml
from proviso.contracts.plan import Plan
from proviso.contracts.starter import template_text
from proviso.monitoring.rules import rules_text
from proviso.monitoring.scrape import prometheus_files
from proviso.release.directory import read_release
from proviso.rollout.deployed import deployed_release
from tests.cluster.rule_cases import CASES, Case

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "k8s/components/prometheus"
FIRING = 'group by (alertname, release, traffic, severity) (ALERTS{alertstate="firing"})'


def image() -> str:
    """The server's image as the component has it."""
    kustomization = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text(encoding="utf-8"))
    (found,) = kustomization["images"]
    return f"{found['name']}:{found['newTag']}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rules.yml and scrape.yml of the committed plan and releases, where the pod has them."""
    if shutil.which("docker") is None:
        pytest.skip("no docker on PATH")
    there = subprocess.run(
        ["docker", "image", "inspect", image()], check=False, capture_output=True
    )
    if there.returncode:
        pytest.skip(f"{image()} is not in Docker")
    units = [
        deployed_release(read_release(ROOT / "model_repository" / v)) for v in ("2.5.0", "2.4.0")
    ]
    folder = tmp_path_factory.mktemp("prometheus")
    for name, text in prometheus_files(load_plan(ROOT / "contracts"), units).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def promtool(files: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs without a network, as the user whose files it reads."""
    mounts = {"": "/w", "rules.yml": "/etc/proviso/rules/rules.yml"}
    volumes = [f"--volume={files / name}:{path}:ro" for name, path in mounts.items()]
    docker = ["docker", "run", "--rm", "--network=none", f"--user={os.getuid()}", *volumes]
    command = [*docker, "--entrypoint=promtool", image(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_rules_load_without_a_lint(files: Path) -> None:
    done = promtool(files, "check", "rules", "--lint=all", "--lint-fatal", "/w/rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_so_do_those_of_another_plan(files: Path) -> None:
    plan = Plan.model_validate(parse_yaml(PLAN_FILE, template_text(PLAN_FILE)))
    (files / "other.yml").write_text(rules_text(plan, "standard"), encoding="utf-8")
    done = promtool(files, "check", "rules", "--lint=all", "--lint-fatal", "/w/other.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_would_take_its_configuration(files: Path) -> None:
    done = promtool(files, "check", "config", "/w/scrape.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_fires_and_what_does_not(files: Path) -> None:
    assert len({one.name for one in CASES}) == len(CASES)
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [as_promtool(one) for one in CASES],
    }
    (files / "cases.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = promtool(files, "test", "rules", "/w/cases.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def as_promtool(one: Case) -> dict[str, Any]:
    """A case as promtool reads it: everything that fires is asked for in one expression."""
    when = f"{one.minute}m"
    values = [
        {
            "expr": expression,
            "eval_time": when,
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expression, value in one.values.items()
    ]
    return {
        "name": one.name,
        "interval": "15s",
        "input_series": [{"series": k, "values": v} for k, v in one.series.items()],
        "promql_expr_test": [
            {"expr": FIRING, "eval_time": when, "exp_samples": _firing(one)},
            *values,
        ],
    }


def _firing(one: Case) -> list[dict[str, Any]]:
    found = []
    for name, release, traffic, severity in sorted(one.firing):
        labels = {"alertname": name, "traffic": traffic, "release": release, "severity": severity}
        inside = ", ".join(f'{k}="{v}"' for k, v in labels.items() if v)
        found.append({"labels": f"{{{inside}}}", "value": 1})
    return found
