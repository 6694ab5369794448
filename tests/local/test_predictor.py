"""The launcher and Triton on a tiny model: only a release that is what it says is served."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
import tritonclient.http as client_http
import yaml
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from feature_runtime.core import identity
from proviso.contracts.base import InputError
from proviso.local import triton
from proviso.local.processes import ProcessError, Stack

CONFIG = """name: "tiny"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "features" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "probabilities" data_type: TYPE_FP32 dims: [ 2 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 2000 }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
"""
WEIGHTS = np.array([[1.0, -1.0], [0.5, 0.25], [0.0, 2.0]], dtype=np.float32)


def model_bytes() -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor("weights", TensorProto.FLOAT, WEIGHTS.shape, WEIGHTS.flatten())],
    )
    opset = [helper.make_opsetid("", 17)]
    encoded: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return encoded


@dataclass(frozen=True)
class Release:
    """A release directory whose id comes from feature_runtime.core.identity, the pod's own code."""

    path: Path
    identifier: str

    @property
    def config(self) -> Path:
        return self.path / "tiny" / "config.pbtxt"

    @property
    def model(self) -> Path:
        return self.path / "tiny" / "1" / "model.onnx"

    @property
    def manifest(self) -> Path:
        return self.path / "release.yml"


def make_release(path: Path, config: str = CONFIG) -> Release:
    model = model_bytes()
    digests = {
        part: identity.digest(part.encode())
        for part in ("base_images", "decision", "service", "transformer")
    }
    digests |= {
        "model": identity.digest(model),
        "config": identity.digest(identity.canonical_config(config).encode()),
    }
    identifier = identity.release_id(digests)
    release = Release(path, identifier)
    release.model.parent.mkdir(parents=True)
    release.model.write_bytes(model)
    release.config.write_text(config + identity.id_line(identifier) + "\n")
    content = {"id": identifier, "model": "tiny:1", "digests": digests, "card": {"id": "other"}}
    release.manifest.write_text(yaml.safe_dump(content))
    return release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path / "release")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.Triton]:
    directory = tmp_path_factory.mktemp("predictor")
    configured = triton.configure(make_release(directory / "release").path, directory / "log")
    with Stack() as stack:
        stack.start(configured.process, configured.ready, 60)
        yield configured


def launch(
    release: Release, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The launcher's run, where it ends by itself."""
    command = [sys.executable, "-W", "error", triton.LAUNCHER, "--release", release.path]
    return subprocess.run(
        [str(part) for part in (*command, *arguments)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(release: Release) -> subprocess.CompletedProcess[str]:
    """Only the launcher's verification: quick, and what every start goes through."""
    return launch(release, "--check")


def refusal(release: Release, *arguments: object) -> str:
    """The one line with which a directory was refused."""
    done = launch(release, *(arguments or ["--check"]))
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    return done.stderr


# --- what is served --------------------------------------------------------------------------


def infer(predictor: triton.Triton, features: np.ndarray) -> np.ndarray:
    with client_http.InferenceServerClient(f"127.0.0.1:{predictor.http_port}") as client:
        tensor = client_http.InferInput("features", list(features.shape), "FP32")
        tensor.set_data_from_numpy(features)
        found = client.infer("tiny", [tensor]).as_numpy("probabilities")
    assert isinstance(found, np.ndarray)
    return found


def expected(features: np.ndarray) -> np.ndarray:
    exponents = np.exp(features @ WEIGHTS)
    result: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def test_triton_answers_like_the_model(predictor: triton.Triton) -> None:
    features = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(infer(predictor, features), expected(features), rtol=1e-5)


def test_requests_that_run_as_one_batch_get_their_own_answers(predictor: triton.Triton) -> None:
    random = np.random.default_rng(2)
    many = [random.normal(size=(1 + n % 3, 3)).astype(np.float32) for n in range(60)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda features: infer(predictor, features), many))
    for features, answer in zip(many, answers, strict=True):
        np.testing.assert_allclose(answer, expected(features), rtol=1e-5)


def test_a_missing_value_stays_one(predictor: triton.Triton) -> None:
    features = np.array([[np.nan, 0, 0], [1, 1, 1]], dtype=np.float32)
    answer = infer(predictor, features)
    assert np.isnan(answer[0]).all()
    np.testing.assert_allclose(answer[1:], expected(features[1:]), rtol=1e-5)


def test_a_wrong_shape_fails_alone(predictor: triton.Triton) -> None:
    with pytest.raises(InferenceServerException, match="shape"):
        infer(predictor, np.zeros((1, 4), dtype=np.float32))
    infer(predictor, np.zeros((1, 3), dtype=np.float32))


def test_the_predictor_serves_its_id(predictor: triton.Triton) -> None:
    with client_http.InferenceServerClient(f"127.0.0.1:{predictor.http_port}") as client:
        config = client.get_model_config("tiny")
    manifest = predictor.process.log.parent / "release" / "release.yml"
    served = config["parameters"][identity.ID_PARAMETER]["string_value"]
    assert served == yaml.safe_load(manifest.read_text())["id"]


def test_an_owner_that_is_killed_leaves_no_stub_behind(tmp_path: Path) -> None:
    release = make_release(tmp_path / "release")
    script = f"""
import sys, time
from pathlib import Path
from proviso.local import triton
from proviso.local.processes import Stack
found = triton.configure(Path({str(release.path)!r}), Path({str(tmp_path / "log")!r}))
with Stack() as stack:
    stack.start(found.process, found.ready, 60)
    print(found.process.pid, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        stubs = members(group)
        owner.kill()
    assert len(stubs) > 1
    assert wait_until_empty(group), members(group)


def members(group: int) -> list[int]:
    """Processes of a group that have not ended."""
    return [
        process.pid
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and _group(process.pid) == group
    ]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def wait_until_empty(group: int) -> bool:
    deadline = time.monotonic() + 30
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not members(group)


# --- in a pod --------------------------------------------------------------------------------


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    """A home as the vendor's image has it: no libs/. Its server says how it was started."""
    home = tmp_path / "tritonserver"
    (home / "bin").mkdir(parents=True)
    (home / "backends").mkdir()
    server = home / "bin" / "tritonserver"
    server.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nenv\n')
    server.chmod(0o755)
    return home


def test_a_server_starts_from_what_was_installed(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "server"
    for _ in range(2):  # an init container may run again over what it left
        done = launch(release, "--expect", release.identifier, "--install", target)
        assert done.returncode == 0, done
    assert sorted(path.name for path in target.iterdir()) == ["backends", "serve-predictor"]
    assert not [path for path in target.rglob("*") if path.is_symlink() or "cache" in path.name]
    home = triton.LAUNCHER.parents[1] / ".venv" / "triton"
    monkeypatch.setenv("PROVISO_TRITON_HOME", str(home))
    monkeypatch.setattr(triton, "LAUNCHER", target / "serve-predictor")
    configured = triton.configure(release.path, tmp_path / "log")
    cut = configured.process.command.index("--")
    configured.process.command[cut:cut] = ["--backends", str(target / "backends")]
    features = np.ones((2, 3), dtype=np.float32)
    with Stack() as stack:
        stack.start(configured.process, configured.ready, 60)
        np.testing.assert_allclose(infer(configured, features), expected(features), rtol=1e-5)
        programs = [psutil.Process(pid).exe() for pid in members(configured.process.pid)]
    assert str(target / "backends" / "python" / "triton_python_backend_stub") in programs


def test_nothing_is_installed_for_another_release(release: Release, tmp_path: Path) -> None:
    other = "r-" + "2" * 16
    line = refusal(release, "--expect", other, "--install", tmp_path / "server")
    told = f"{release.manifest}: found id {release.identifier}, wanted {other}"
    assert line.endswith(f"{told} [release_id_mismatch]\n")
    assert not (tmp_path / "server").exists()


def test_another_release_is_not_started(release: Release, vendor: Path) -> None:
    home = {"PROVISO_TRITON_HOME": str(vendor)}
    done = launch(release, "--expect", "r-" + "2" * 16, environment=home)
    assert (done.returncode, done.stdout) == (1, "")
    done = launch(release, "--expect", release.identifier, environment=home)
    assert f"--model-repository={release.path}" in done.stdout


def test_a_place_that_cannot_be_written_is_refused(release: Release, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "[directory_unwritable]" in refusal(release, "--install", file / "server")


def test_backends_that_are_not_there_are_refused(release: Release, tmp_path: Path) -> None:
    line = refusal(release, "--backends", tmp_path / "missing")
    assert f"{tmp_path / 'missing'}: found no such directory" in line
    assert line.endswith("[triton_missing]\n")


def test_the_vendors_server_has_its_own_backends_and_devices(
    release: Release, vendor: Path
) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "0", "LD_LIBRARY_PATH": "/vendor/lib"}
    environment = {"PROVISO_TRITON_HOME": str(vendor), **given}
    lines = launch(release, environment=environment).stdout.splitlines()
    assert f"--backend-directory={vendor / 'backends'}" in lines
    assert "CUDA_VISIBLE_DEVICES=0" in lines
    assert "LD_LIBRARY_PATH=/vendor/lib" in lines


def test_what_follows_the_dashes_comes_last_and_nothing_reports_home(
    release: Release, vendor: Path
) -> None:
    socket = "--grpc-address=unix:/run/triton/grpc"
    environment = {"PROVISO_TRITON_HOME": str(vendor)}
    lines = launch(release, "--", socket, environment=environment).stdout.splitlines()
    assert lines.index("--grpc-address=127.0.0.1") < lines.index(socket)
    assert "ORT_DISABLE_TELEMETRY=1" in lines


# --- what is refused -------------------------------------------------------------------------


def test_a_release_that_is_what_it_says_passes(release: Release) -> None:
    done = check(release)
    assert done.returncode == 0, done
    assert release.identifier in done.stderr


def test_a_changed_byte_of_the_model_is_never_served(release: Release, tmp_path: Path) -> None:
    data = bytearray(release.model.read_bytes())
    data[-1] ^= 1
    release.model.write_bytes(data)
    wanted = yaml.safe_load(release.manifest.read_text())["digests"]["model"]
    line = refusal(release)
    assert str(release.model) in line
    assert identity.digest(bytes(data)) in line
    assert wanted in line
    assert line.endswith("[release_digest_mismatch]\n")
    configured = triton.configure(release.path, tmp_path / "log")
    with Stack() as stack, pytest.raises(ProcessError, match="ended with status 1") as caught:
        stack.start(configured.process, configured.ready)
    assert wanted in str(caught.value)


def test_a_changed_config_is_refused(release: Release) -> None:
    release.config.write_text(release.config.read_text().replace("count: 1", "count: 2"))
    assert str(release.config) in refusal(release)


def test_an_id_that_does_not_follow_from_the_digests_is_refused(release: Release) -> None:
    other = "r-" + "0" * 16
    for path in (release.manifest, release.config):
        path.write_text(path.read_text().replace(release.identifier, other))
    assert release.identifier in refusal(release)


def test_a_config_that_serves_another_id_is_refused(release: Release) -> None:
    text = release.config.read_text().replace(release.identifier, "r-" + "1" * 16)
    release.config.write_text(text)
    assert identity.id_line(release.identifier) in refusal(release)


def test_a_config_without_the_id_is_refused(release: Release) -> None:
    release.config.write_text(CONFIG)
    assert "no proviso_release_id line" in refusal(release)


def test_a_second_id_in_the_config_is_refused(tmp_path: Path) -> None:
    second = ' parameters { key: "proviso_release_id" value { string_value: "r-other" } }\n'
    assert "more than once" in refusal(make_release(tmp_path / "release", CONFIG + second))


def test_a_file_that_does_not_belong_is_refused(release: Release) -> None:
    (release.model.parent / "model.py").write_text("print('hello')")
    line = refusal(release)
    assert "1/model.py" in line
    assert line.endswith("[release_unexpected_file]\n")


def test_a_second_model_is_refused(release: Release) -> None:
    (release.path / "other").mkdir()
    assert "['other', 'tiny']" in refusal(release)


def test_a_link_out_of_the_directory_is_refused(release: Release, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    release.model.rename(outside)
    release.model.symlink_to(outside)
    line = refusal(release)
    assert f"a link to {outside}" in line
    assert line.endswith("[release_link_outside]\n")


def test_a_pipe_in_place_of_the_model_is_refused(release: Release) -> None:
    release.model.unlink()
    os.mkfifo(release.model)
    line = refusal(release)
    assert "no such file" in line
    assert line.endswith("[release_file_unreadable]\n")


def test_a_manifest_with_missing_or_repeated_digests_is_refused(release: Release) -> None:
    whole = release.manifest.read_text()
    lines = whole.splitlines(keepends=True)
    service = next(line for line in lines if line.startswith("  service: "))
    release.manifest.write_text(whole.replace(service, ""))
    assert "[release_digests_incomplete]" in refusal(release)
    release.manifest.write_text(whole.replace(service, service + service))
    assert "[release_digests_invalid]" in refusal(release)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = Release(tmp_path / "missing", "")
    assert str(missing.path) in refusal(missing)
    with pytest.raises(InputError, match="no such directory"):
        triton.configure(missing.path, tmp_path / "log")


def test_the_model_that_the_tests_serve_is_sound() -> None:
    onnx.checker.check_model(onnx.load_from_string(model_bytes()))
