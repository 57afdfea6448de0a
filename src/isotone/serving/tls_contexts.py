"""TLS as the DICOM standard asks for (PS3.15 B.9, after BCP 195): 1.2 or later, and certificates that are checked."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from isotone.errors import UsageError
from isotone.serving.node_settings import Tls


class ServerContext(ssl.SSLContext):
    """Leaves the handshake to the association's own thread: a peer that never ends it stops no other."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext.wrap_socket`, without the handshake: the first byte that is read brings it."""
        return super().wrap_socket(sock, *args, **{**kwargs, "do_handshake_on_connect": False})


def server_context(tls: Tls) -> ssl.SSLContext:
    """For the node; with `ca`, a peer needs a certificate too.

    Raises
    ------
    UsageError
        E_CONFIG: a file is not there, or holds no certificate or key.
    """
    return _loaded(ServerContext(ssl.PROTOCOL_TLS_SERVER), tls, verify=tls.ca is not None)


def client_context(tls: Tls) -> ssl.SSLContext:
    """For a destination, whose certificate must be by `ca`, or by an authority that the system trusts.

    Raises
    ------
    UsageError
        E_CONFIG.
    """
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls, verify=True)


def _loaded(context: ssl.SSLContext, tls: Tls, *, verify: bool) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
        elif verify:
            context.load_default_certs()
    except (OSError, ssl.SSLError):
        raise UsageError(
            "a certificate or key of tls cannot be read", code="E_CONFIG", file=tls.certificate or tls.ca
        ) from None
    if verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
