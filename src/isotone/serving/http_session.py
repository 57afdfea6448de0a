"""A session of HTTP that goes to the address that is configured, with the credentials that are configured."""

from __future__ import annotations

import re
from typing import Any

from isotone.errors import UsageError
from isotone.serving.node_settings import Secret, Tls
from isotone.serving.tls_contexts import client_context

BEARER = re.compile(r"[!-~]+")
"""Any visible ASCII: RFC 6750 2.1 allows fewer characters, some services more."""


def http_session(tls: Tls | None, token: Secret | None) -> Any:
    """A `requests.Session`: no redirect is followed, and no proxy or netrc of the machine is used.

    Parameters
    ----------
    tls : Tls or None
        None: certificates must be by an authority that the system trusts.
    token : Secret or None
        Sent as Bearer.

    Raises
    ------
    UsageError
        E_CONFIG: a secret or certificate cannot be read, or the secret is no token.
    """
    import requests

    session = requests.Session()
    session.max_redirects = 0  # another address would get the images, and the credentials
    session.trust_env = False
    if token is not None:
        said = token.read()
        if not BEARER.fullmatch(said):
            raise UsageError("a token has characters that no header takes", code="E_CONFIG", file=token.file)
        session.headers["Authorization"] = f"Bearer {said}"
    if tls is not None:
        client_context(tls)
        session.verify = str(tls.ca) if tls.ca is not None else True
        if tls.certificate is not None:
            session.cert = (str(tls.certificate), str(tls.key)) if tls.key else str(tls.certificate)
    return session
