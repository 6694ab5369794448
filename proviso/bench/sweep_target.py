"""A deployed predictor as a contender of the sweep, with the batching that its config states.

Over V2 gRPC alone, since that is all that a deployed predictor need show. Only Triton's client can
ask for a configuration (it must not meet the KServe SDK in one process; nothing here imports it).
"""

from __future__ import annotations

from typing import Any

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from feature_runtime.core.identity import ID_PARAMETER
from proviso.bench.sweep import Contender
from proviso.bench.sweep_settings import Setting
from proviso.contracts.base import InputError

_TIMEOUT = 10.0  # seconds


def contender_at(address: str, model: str, where: str) -> Contender:
    """The predictor at host:port, with the batching and the id that it says. Raises InputError."""
    config = _config(address, model)
    served = config.get("parameters", {}).get(ID_PARAMETER, {}).get("string_value", "no release")
    size = int(config.get("max_batch_size", 0))
    return Contender(where, setting_in(config), address, str(served), size)


def setting_in(config: dict[str, Any]) -> Setting:
    """The batching of a configuration as Triton's client gives it: as JSON, numbers as strings."""
    batching = config.get("dynamic_batching")
    if batching is None:
        return Setting(dynamic=False)
    return Setting(True, int(batching.get("max_queue_delay_microseconds", 0)))


def _config(address: str, model: str) -> dict[str, Any]:
    client = triton.InferenceServerClient(address)
    try:
        found = client.get_model_config(model, as_json=True, client_timeout=_TIMEOUT)
    except InferenceServerException as error:
        message = f"no configuration of {model} from the predictor"
        reason = str(error.message())[:300]
        raise InputError.event(
            "predictor_unavailable", message, f"--target {address}", reason
        ) from error
    finally:
        client.close()
    config: dict[str, Any] = found["config"]
    return config
