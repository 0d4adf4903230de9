# pyright: basic
"""The hub's own client, for real, against a hub of one process: pushed, fetched, and the same bits."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SHA = "a" * 40

CLIENT = """
import sys, torch
from pathlib import Path
from torch import nn
from sparring import LInf, assess
from sparring.interop import from_pretrained, push_to_hub, save_pretrained
from sparring.own import adversaries_for

def build(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))

torch.manual_seed(0)
model, threat = build(5), LInf(0.1, 0, 1)
data = torch.rand(20, 3), torch.arange(20) % 2
card = assess({"mine": model}, data, threat, adversaries=adversaries_for(threat)[:1], radii=())
folder = save_pretrained(model, Path(sys.argv[1]), config={"width": 5}, scorecard=card, license="mit")
print(push_to_hub(folder, "me/mine", token="hf_none"))
back = from_pretrained(build, "me/mine")
same = all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), back.state_dict().values(), strict=True))
print("same" if same else "different")
"""


class Hub(BaseHTTPRequestHandler):
    """The few addresses of the hub that a push and a fetch of a model use."""

    files: dict[str, bytes]

    def log_message(self, format: str, *args: object) -> None: ...

    def reply(self, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def told(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        body, place = self.told(), self.path.split("?")[0]
        if place == "/api/repos/create":
            self.reply(json.dumps({"url": "https://huggingface.co/me/mine"}).encode())
        elif "/preupload/" in place:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self.reply(json.dumps({"files": files}).encode())
        elif "/commit/" in place:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            told = {"commitOid": SHA, "commitUrl": "https://huggingface.co/me/mine/commit/" + SHA, "success": True}
            self.reply(json.dumps(told).encode())
        else:
            self.reply(b"{}")

    def do_GET(self) -> None:
        place = self.path.split("?")[0]
        if "/resolve/" in place:
            data = self.files[place.rsplit("/", 1)[1]]
            etag = '"' + hashlib.sha1(data, usedforsecurity=False).hexdigest() + '"'
            self.reply(data, "application/octet-stream", ETag=etag, X_Repo_Commit=SHA)
        elif "/tree/" in place:
            self.reply(
                json.dumps(
                    [{"type": "file", "path": n, "size": len(d), "oid": SHA} for n, d in self.files.items()]
                ).encode()
            )
        else:
            siblings = [{"rfilename": name} for name in self.files]
            self.reply(json.dumps({"id": "me/mine", "sha": SHA, "siblings": siblings, "private": False}).encode())

    do_HEAD = do_GET


@pytest.fixture
def hub() -> Iterator[tuple[str, dict[str, bytes]]]:
    files: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Hub,), {"files": files}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", files
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_pushed_comes_back_bit_for_bit(hub: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    address, files = hub
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    run = subprocess.run(
        [sys.executable, "-c", CLIENT, str(tmp_path / "mine")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.split()[-2:] == ["https://huggingface.co/me/mine", "same"]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "scorecard.json"]
    assert files["README.md"].startswith(b"---\nlicense: mit\n")
