"""New passwords while pods work: whoever is interrupted is finished, and nobody is ever refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from proviso.contracts.base import InputError
from proviso.deploy.acl import CLIENTS, Acl, digest, parse_acl
from proviso.deploy.rotation import State, load_users, rotate_passwords
from proviso.deploy.secrets import client_passwords, ensure_passwords
from proviso.kube.namespace import SecretMount


class Killed(Exception):
    """The program ends here."""


@dataclass
class Town:
    """A cluster in memory: pods see a Secret when kubelet has looked, which needs a nudge.

    Before and after everything that is done, each pod's password must let it in.
    """

    lives: int = 10_000
    slow: frozenset[str] = frozenset()
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    mounted: dict[SecretMount, tuple[str, str]] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def start(self) -> None:
        for pod in ("store-0", "store-1"):
            self._mount(SecretMount(pod, "store", "/etc/valkey/acl"), "store-acl")
            self.loaded[pod] = self._file(pod)
        for pod in ("scorer-0", "scorer-1"):
            self._mount(SecretMount(pod, "main", "/p"), "store-serving")
        self._mount(SecretMount("job", "main", "/p"), "store-writer")

    def secret(self, name: str) -> Mapping[str, str] | None:
        return self.secrets.get(name)

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        self._live()
        self.secrets[name] = dict(values)
        self._live()

    def mounts(self, secret: str) -> list[SecretMount]:
        return [mount for mount, (name, _) in self.mounted.items() if name == secret]

    def nudge(self, pod: str) -> None:
        self._live()
        for mount, (name, _) in list(self.mounted.items()):
            if mount.pod == pod and pod not in self.slow:
                self._mount(mount, name)

    def execute(self, pod: str, container: str, command: list[str]) -> str | None:
        self._live()
        mount = next((m for m in self.mounted if (m.pod, m.container) == (pod, container)), None)
        if mount is None:
            return None
        if command[0] == "python":
            return digest(self.mounted[mount][1]) + "\n"
        if command[0] == "sha256sum":
            return f"{digest(self._file(pod))}  {command[1]}\n"
        assert command[2:] == ["ACL", "LOAD"]
        self.loaded[pod] = self._file(pod)
        return "OK\n"

    def _mount(self, mount: SecretMount, name: str) -> None:
        [content] = self.secrets[name].values()
        self.mounted[mount] = (name, content)

    def _file(self, pod: str) -> str:
        return next(text for r, (_, text) in self.mounted.items() if r.pod == pod)

    def _live(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed
        for name, password in self.mounted.values():
            if name != "store-acl":
                user = name.removeprefix("store-")
                for server in self.loaded.values():
                    assert digest(password) in parse_acl(server).digests(user)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def _town() -> Town:
    town = Town()
    ensure_passwords(town)
    town.start()
    return town


def _settled(town: Town) -> bool:
    """Whether every server takes exactly what every client has."""
    passwords = client_passwords(town)
    mounted = all(
        password == passwords[name.removeprefix("store-")]
        for name, password in town.mounted.values()
        if name != "store-acl"
    )
    files = [town.secrets["store-acl"]["users.acl"], *town.loaded.values()]
    return mounted and all(
        parse_acl(text).digests(user) == (digest(passwords[user]),)
        for text in files
        for user in CLIENTS
    )


def test_all_clients_get_new_passwords_and_the_old_ones_end() -> None:
    town = _town()
    before = client_passwords(town)
    assert rotate_passwords(town, town.said.append) == CLIENTS
    after = client_passwords(town)
    assert all(before[user] != after[user] for user in CLIENTS)
    assert _settled(town)
    said = "\n".join(town.said)
    assert not any(password in said for password in (*before.values(), *after.values()))


@pytest.mark.parametrize("lives", range(40))
def test_whoever_is_killed_is_finished_by_the_next(lives: int) -> None:
    town = _town()
    town.lives = lives
    try:
        rotate_passwords(town, town.said.append)
    except Killed:
        town.lives = 10_000
        rotate_passwords(town, town.said.append)
    assert _settled(town)


def test_a_pod_that_does_not_see_the_new_one_keeps_the_old_one_working() -> None:
    town = _town()
    town.slow = frozenset({"scorer-1"})
    with pytest.raises(InputError) as incomplete:
        rotate_passwords(town, town.said.append, patience=0.05)
    [problem] = incomplete.value.problems
    assert problem.code == "rotation_incomplete"
    assert problem.message.endswith("every pod has serving's password; missing: scorer-1")
    assert len(town_acl(town).digests("serving")) == 2
    handed_out = client_passwords(town)["serving"]
    town.slow = frozenset()
    rotate_passwords(town, town.said.append)
    assert "continuing an interrupted rotation: serving, writer" in town.said
    assert client_passwords(town)["serving"] == handed_out
    assert _settled(town)


def town_acl(town: Town) -> Acl:
    return parse_acl(town.secrets["store-acl"]["users.acl"])


def test_a_secret_changed_by_hand_is_let_in_beside_the_old_one() -> None:
    town = _town()
    town.secrets["store-serving"] = {"password": "by-hand-by-hand-by-hand"}
    rotate_passwords(town, town.said.append)
    assert client_passwords(town)["serving"] == "by-hand-by-hand-by-hand"
    assert _settled(town)


def test_a_pod_that_goes_away_is_not_waited_for() -> None:
    town = _town()
    gone = SecretMount("gone", "main", "/p")

    class Leaving(Town):
        def mounts(self, secret: str) -> list[SecretMount]:
            return [*super().mounts(secret), *([gone] if secret == "store-serving" else [])]

    leaving = Leaving(secrets=town.secrets, mounted=town.mounted, loaded=town.loaded)
    rotate_passwords(leaving, leaving.said.append)
    assert _settled(leaving)


def test_without_a_server_nothing_is_handed_out() -> None:
    town = Town()
    ensure_passwords(town)
    before = client_passwords(town)
    with pytest.raises(InputError) as incomplete:
        rotate_passwords(town, town.said.append, patience=0)
    assert incomplete.value.problems[0].message.endswith("missing: store")
    assert client_passwords(town) == before


def test_a_deployment_brings_the_servers_users_up_to_date() -> None:
    town = _town()
    ensure_passwords(town, replicated=True)
    load_users(town, town.said.append)
    assert all(parse_acl(text).digests("replica") for text in town.loaded.values())


def test_what_nobody_was_given_is_dropped() -> None:
    acl = (
        Acl()
        .with_digests("serving", digest("a"), digest("lost"))
        .with_digests("writer", digest("w"))
    )
    state = State(acl, {"serving": "a", "writer": "w"}).begun({"serving": "b", "writer": "v"})
    assert state.acl.digests("serving") == (digest("a"), digest("b"))
    assert state.passwords == {"serving": "b", "writer": "v"}
