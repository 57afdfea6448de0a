"""A session of HTTP that goes to the address that is configured, with the credentials that are configured."""

from __future__ import annotations

from typing import Any

from isotone.serving.node_settings import Secret, Tls


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
        E_CONFIG: the secret cannot be read.
    """
    import requests

    session = requests.Session()
    session.max_redirects = 0  # another address would get the images, and the credentials
    session.trust_env = False
    if token is not None:
        session.headers["Authorization"] = f"Bearer {token.read()}"
    if tls is not None:
        session.verify = str(tls.ca) if tls.ca is not None else True
        if tls.certificate is not None:
            session.cert = (str(tls.certificate), str(tls.key)) if tls.key else str(tls.certificate)
    return session
