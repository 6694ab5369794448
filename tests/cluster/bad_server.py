"""A pod that answers on a shadow's ports as no release should."""

from __future__ import annotations

from typing import Any

_SERVER = """
import http.server, sys, threading, time
how = sys.argv[1]
class Bad(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if how == "slow":
            time.sleep(10)
        self.send_response(500)
        self.send_header("content-length", "9")
        self.send_header("x-release", "r-of-nobody")
        self.end_headers()
        self.wfile.write(b"no answer")
    def log_message(self, *arguments):
        pass
servers = [http.server.ThreadingHTTPServer(("", port), Bad) for port in (8082, 8083)]
threading.Thread(target=servers[1].serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def bad_server(how: str, image: str) -> dict[str, Any]:
    """The pod. how: `broken` answers 500 at once, `slow` after ten seconds. image: with Python."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "bad-server",
            "namespace": "proviso",
            "labels": {"app": "bad-server"},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "server",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", _SERVER, how],
                    "readinessProbe": {"tcpSocket": {"port": 8083}, "periodSeconds": 1},
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "128Mi"},
                    },
                    "securityContext": _RESTRICTED,
                }
            ],
        },
    }
