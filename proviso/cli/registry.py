"""Every command of the program, as data: its name, the function that runs it, one line of help.

A new command is a function with typed options and a line here; a new check needs neither
(proviso/checks/registry.py). The line of help is the first one of the function's docstring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proviso.cli.lazy import LazyCommand, group, lazy_command, target


@dataclass(frozen=True)
class Command:
    """function: `module:function` in this package."""

    name: str
    function: str
    summary: str

    def build(self, panel: str | None = None) -> Any:
        return lazy_command(self.name, self.summary, self.function, panel)


@dataclass(frozen=True)
class Group:
    """Commands that share a first word."""

    name: str
    summary: str
    commands: tuple[Command, ...]

    def build(self, panel: str | None = None) -> Any:
        return group(self.name, self.summary, [one.build() for one in self.commands], panel)


@dataclass(frozen=True)
class Deferred:
    """A group that a function makes, `module:function` in this package."""

    name: str
    function: str
    summary: str

    def build(self, panel: str | None = None) -> Any:
        def built() -> Any:
            return target(self.function)()

        return LazyCommand(self.name, self.summary, panel, built)


STREAM = Group(
    "stream",
    "Streams of rows.",
    (
        Command("produce", "stream:produce", "Send a file of rows to a stream, in order."),
        Command("export", "stream:export", "Write a stream's landed rows to one file."),
    ),
)
SCHEMAS = Group(
    "schemas",
    "Schemas of feature views in the online store.",
    (
        Command(
            "list", "schemas:list_schemas", "List the schemas, and the releases that read each."
        ),
        Command("collect", "schemas:collect", "Remove the schemas that no given release reads."),
    ),
)
RELEASES = Group(
    "releases",
    "Certificates, and the committed example releases.",
    (
        Command(
            "certify", "training:certify", "Repeat the leakage check of a release's certificate."
        ),
        Command("build", "training:build", "Train the example releases on simulated data."),
        Command("rebind", "training:rebind", "Derive the examples' ids from the source again."),
    ),
)
LOCAL = Group(
    "local",
    "The processes of a release, on this machine.",
    (
        Command("up", "local:up", "Start the processes of a release and leave them running."),
        Command("down", "local:down", "Stop the processes that `up` or a kept demo started."),
        Command(
            "status",
            "local:status",
            "List the processes and addresses. Exit 1 if one has ended.",
        ),
        Command("demo", "local:demo", "Run the whole path, from data to gates and a report."),
    ),
)
STORE = Group(
    "store",
    "The online store in the cluster.",
    (Command("rotate-password", "deploy:rotate_password", "Change the passwords of its clients."),),
)
BENCH = Group(
    "bench",
    "Measurements that the docs quote.",
    (
        Command("quality", "bench:quality", "Measure the worth of each feature group or schedule."),
        Command(
            "materialize", "bench:materialize", "Measure a timeline's cost against a plain SET."
        ),
        Command("join", "bench:join", "Measure the point-in-time join beside others."),
        Command("drift", "bench:drift", "Measure how often the drift check is right."),
        Command("sweep", "bench:sweep", "Measure the predictor's rate and latency by batching."),
    ),
)

PANELS: dict[str, tuple[Command | Group | Deferred, ...]] = {
    "Project": (
        Command(
            "init",
            "contracts:init",
            "Write the files of a new project into an empty directory.",
        ),
        Command("validate", "contracts:validate", "Check the contract files, alone and together."),
        Command("migrate", "contracts:migrate", "Rewrite the contract as version 2."),
        Command("catalog", "catalog:catalog", "Write a page of features, owners and consumers."),
    ),
    "Features": (
        Command(
            "simulate",
            "history:simulate",
            "Make up rows; the same seed gives the same file.",
        ),
        Command("features", "history:features", "Compute the feature history of every view."),
        Command(
            "dataset",
            "dataset:dataset",
            "Join each row to the values available at its moment.",
        ),
        Command("materialize", "online:materialize", "Write the history to the online store."),
        Command(
            "forget",
            "forget:forget",
            "Remove an entity from history, store, datasets and records.",
        ),
        STREAM,
        SCHEMAS,
    ),
    "Model": (
        Command("train", "training:train", "Train a model and write a release directory."),
        Command("score", "training:score", "Score a span of observed rows in a batch."),
        RELEASES,
        Command("leakage", "leakage:leakage", "Compare joins that ignore time with the exact one."),
    ),
    "Checks": (
        Deferred("check", "checks:check", "Measure a release, its store and its endpoint."),
        Command("replay", "replay:replay", "Compare an endpoint's answers with the offline rows."),
        Command("gate", "gates:gate", "Judge whether a release may enter a stage."),
    ),
    "Serving": (LOCAL,),
    "Cluster": (
        Command("render", "render:render", "Write the Kubernetes manifests of a release."),
        Command(
            "deploy",
            "deploy:deploy",
            "Install the platform, the store, its data and the releases.",
        ),
        Command("undeploy", "deploy:undeploy", "Remove what `deploy` made."),
        STORE,
    ),
    "Measurements": (BENCH,),
}
"""Commands by the panel of the help that lists them."""


def commands() -> list[Any]:
    """The program's commands, in the order of the help."""
    return [one.build(panel) for panel, ones in PANELS.items() for one in ones]
