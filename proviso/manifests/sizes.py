"""Resources of each container, numbers of pods, and the time they have to stop.

Set from measurements (docs/cluster.md says which); every manifest reads them here.
"""

from __future__ import annotations

from dataclasses import dataclass

from proviso.manifests.objects.core import Resources

MIN_REPLICAS, MAX_REPLICAS = 2, 6


@dataclass(frozen=True)
class Size:
    """CPU in thousandths of a core: asked for, allowed, and, averaged over the pods of a kind,
    what makes one more pod. Memory in MiB.
    """

    cpu: int
    cpu_limit: int
    cpu_target: int
    memory: int
    memory_limit: int

    @property
    def resources(self) -> Resources:
        return Resources(
            requests={"cpu": f"{self.cpu}m", "memory": f"{self.memory}Mi"},
            limits={"cpu": f"{self.cpu_limit}m", "memory": f"{self.memory_limit}Mi"},
        )


TRANSFORMER = Size(cpu=100, cpu_limit=2000, cpu_target=700, memory=160, memory_limit=512)
PREDICTOR = Size(cpu=50, cpu_limit=2000, cpu_target=700, memory=128, memory_limit=512)
COPY = Size(cpu=10, cpu_limit=1000, cpu_target=0, memory=32, memory_limit=256)
"""An init container, which copies and hashes files."""

TMP_MI, BACKENDS_MI, RELEASE_MI = 64, 64, 64
"""Sizes of emptyDirs; the last is the least that a release gets."""

TRANSFORMER_DRAIN = 10
"""Seconds from the start of a pod's termination to closing its listeners: Envoy learns of it."""
PREDICTOR_DRAIN = 45
"""Triton unloads the model on SIGTERM while its port still answers, so every transformer must
have left it: connection age 5 s and its grace 5 s, then up to 30 s of cached addresses.
"""
TRANSFORMER_GRACE, PREDICTOR_GRACE = 60, 90

REQUEST_MARGIN_MS = 500
"""The gateway gives a request up this long after the pod's own deadline, so that it is the pod
that says why.
"""
