"""With TLS, a node talks to peers whose certificate is by its authority, and to nobody else."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")

from nodes import Destination, RunningNode, objects, send, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates"),
]


def certificates(folder: Path) -> None:
    """An authority, and a certificate by it for 127.0.0.1."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority")
    openssl("req", *new, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=127.0.0.1")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
    openssl("x509", "-req", "-in", "node.csr", *by, "-out", "node.pem")


def test_tls_both_ways(tmp_path):
    certificates(tmp_path)
    to = Destination()
    folder = tmp_path / "node"
    tls = f'[tls]\ncertificate = "{tmp_path}/node.pem"\nkey = "{tmp_path}/node.key"\nca = "{tmp_path}/ca.pem"\n'
    node = RunningNode(folder, tls + to.table("archive") + to.table("ai"))
    node.start()
    try:
        paths = objects(tmp_path / "in", 1)
        with socket.create_connection(("127.0.0.1", node.port)):  # never begins its handshake, and hinders nobody
            assert set(send(node.port, paths).values()) == {None}
            stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            assert set(send(node.port, paths, tls=(stranger, "127.0.0.1")).values()) == {None}
            known = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            known.load_cert_chain(tmp_path / "node.pem", tmp_path / "node.key")
            assert set(send(node.port, paths, tls=(known, "127.0.0.1")).values()) == {0}
        until(node.idle)
    finally:
        node.stop()
        to.close()
