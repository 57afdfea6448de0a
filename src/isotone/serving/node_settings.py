"""The configuration of a node: one TOML file, checked once; an unknown key is refused.

Secrets are never in the file: it names a file or a variable of the environment that holds each.
"""

from __future__ import annotations

import os
import re
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from isotone.errors import UsageError
from isotone.imaging.dicom.header_values import BODY_PARTS
from isotone.monitoring.guards import Guard

T = TypeVar("T", bound=BaseModel)
AeTitle = Annotated[str, StringConstraints(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""At most 16 characters of the default repertoire, no backslash (PS3.5 6.2)."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
URL = re.compile(r"https?://[^\s@]+")


def _reachable(url: str) -> str:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or brackets of half an IPv6 address
        named = False
    if not URL.fullmatch(url) or not named:
        raise ValueError("not an http or https address (a user stands apart: user, password)")
    return url


Address = Annotated[str, AfterValidator(_reachable)]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9.]{0,63}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


def _known(body_part: str) -> str:
    if body_part.upper() not in BODY_PARTS:
        raise ValueError("no such code of BodyPartExamined (PS3.16 annex L): no image would fit")
    return body_part


BodyPart = Annotated[str, AfterValidator(_known)]
Refused = Literal["forward", "hold", "drop"]
"""What becomes, at the destinations of its rule, of an image that is refused: it goes there unchanged; it is kept for a
person; or it does not go there. The original goes to the archive in each case."""


class Table(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Table):
    """Where a secret is: in a file (its first line), or in a variable of the environment."""

    file: Path | None = None
    environment: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.environment is None):
            raise ValueError("give file or environment, one of them")
        return self

    def read(self) -> str:
        """The secret.

        Raises
        ------
        UsageError
            E_CONFIG: it is not there, or empty.
        """
        try:
            text = self.file.read_text() if self.file is not None else os.environ[str(self.environment)]
            return text.splitlines()[0].strip()
        except (OSError, KeyError, IndexError, UnicodeDecodeError):
            raise UsageError("a secret cannot be read", code="E_CONFIG", file=self.file or self.environment) from None


class Tls(Table):
    """Certificates, as PEM. `ca` says whom the other side must be certified by."""

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


class Peer(Table):
    """Who may send: an AE title, and the addresses or networks that it may come from (none given: any)."""

    ae_title: AeTitle
    address: tuple[IPv4Network | IPv6Network, ...] = ()

    def covers(self, address: str) -> bool:
        """Whether this peer may come from an address."""
        return not self.address or any(ip_address(address) in network for network in self.address)


class Limits(Table):
    """What a peer may take. Each limit costs the peer its association at most."""

    associations: int = Field(10, ge=1, description="open at a time; each holds one object in memory")
    pdu_bytes: int = Field(2**17, ge=2**12, le=2**24, description="largest protocol data unit (PS3.8 9.3)")
    object_bytes: int = Field(2**29, ge=2**10, description="largest object")
    bytes_per_second: int | None = Field(None, ge=2**10, description="of one association; none: as fast as it can")
    idle_seconds: float = Field(60.0, gt=0, description="without a byte, after which an association ends")
    free_bytes: int = Field(2**30, ge=0, description="of the spool's disk that stay free: nothing is received below")


class Retry(Table):
    """How often, and how soon, an object is sent again."""

    attempts: int = Field(8, ge=1, description="of one object that a destination rejects; then it is a dead letter")
    first_seconds: float = Field(2.0, gt=0, description="wait after the first failure; it doubles with each")
    longest_seconds: float = Field(600.0, gt=0)

    def wait(self, failures: int) -> float:
        """Seconds after so many failures in a row."""
        return float(min(self.first_seconds * 2.0 ** min(max(failures - 1, 0), 60), self.longest_seconds))


class DicomDestination(Table):
    """A C-STORE SCP."""

    kind: Literal["dicom"]
    name: Name
    host: str
    port: Port
    ae_title: AeTitle
    tls: Tls | None = None
    retry: Retry = Retry()
    timeout_seconds: float = Field(60.0, gt=0, description="for an answer")


class WebDestination(Table):
    """A STOW-RS service (PS3.18 10.5)."""

    kind: Literal["dicomweb"]
    name: Name
    url: Address
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    tls: Tls | None = None
    retry: Retry = Retry()
    timeout_seconds: float = Field(60.0, gt=0)

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        return self


Destination = Annotated[DicomDestination | WebDestination, Field(discriminator="kind")]


class Rule(Table):
    """Which images get which harmonizer, and where the result goes. The first rule that fits an image is its rule."""

    name: Name
    harmonizer: Path
    to: tuple[Name, ...] = Field(min_length=1)
    scanner: tuple[str, ...] = Field((), description="patterns (*, ?) of Manufacturer and model; none: any")
    sop_class: tuple[Uid, ...] = Field((), description="UIDs; none: any")
    body_part: tuple[BodyPart, ...] = Field((), description="BodyPartExamined; none: any")
    deliver: Literal["pixels", "voi-lut", "gsps"] = Field(
        "pixels", description="gsps: the original, and a presentation state beside it"
    )
    allow: tuple[Guard, ...] = Field((), description="guards to overrule (docs/errors.md)")
    refused: Refused = Field("hold", description="what becomes of an image that is refused")


class Folder(Table):
    """A folder whose files are taken in as if they had been sent."""

    path: Path
    settled_seconds: float = Field(5.0, ge=0, description="without a change, after which a file is whole")


class Retention(Table):
    """How long what is done is kept. Held objects and dead letters stay until a person takes them away."""

    files_hours: float = Field(24.0, ge=0, description="of an object, after its last delivery")
    records_days: float = Field(90.0, gt=0, description="what is remembered of its UID: the same is not taken twice")
    history_days: float = Field(730.0, gt=0)
    audit_days: float = Field(365.0, gt=0)


class Webhook(Table):
    """Where alerts are posted to, as JSON (docs/serving.md)."""

    url: Address | Secret = Field(description="an address that is a secret itself stands in a file or the environment")
    token: Secret | None = Field(None, description="sent as Bearer")
    tls: Tls | None = None


class Watching(Table):
    """What is said of the images, and where."""

    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = Field(None, description="of /metrics for Prometheus; none: there is no such page")
    textfile: Path | None = Field(None, description="the same for the textfile collector, which reads *.prom alone")
    dashboard: Path | None = Field(None, description="one HTML page, written every minute")
    webhook: Webhook | None = None
    alarms_per_year: float = Field(1.0, gt=0, le=52, description="false alarms of drift, of each scanner, at most")

    @model_validator(mode="after")
    def _collected(self) -> Self:
        if self.textfile is not None and self.textfile.suffix != ".prom":
            raise ValueError("the name of textfile ends in .prom: the collector reads no other")
        return self


class NodeSettings(Table):
    """The whole file; paths are relative to its folder."""

    spool: Path
    archive: tuple[Name, ...] = Field(description="destinations that get every original; [] where the sender keeps it")
    ae_title: AeTitle = "ISOTONE"
    host: str = "127.0.0.1"
    port: Port = 11112
    workers: int = Field(1, ge=1, description="processes that harmonize")
    peer: tuple[Peer, ...] = ()
    tls: Tls | None = None
    limits: Limits = Limits()
    destination: tuple[Destination, ...] = Field(min_length=1)
    rule: tuple[Rule, ...] = Field(min_length=1)
    folder: tuple[Folder, ...] = ()
    retention: Retention = Retention()
    watching: Watching = Watching()

    @model_validator(mode="after")
    def _together(self) -> Self:
        for kind, names in (("destination", self.destination), ("rule", self.rule)):
            if len({entry.name for entry in names}) < len(names):
                raise ValueError(f"two of [[{kind}]] have one name")
        known = {entry.name for entry in self.destination}
        missing = {*self.archive, *(name for rule in self.rule for name in rule.to)} - known
        if missing:
            raise ValueError(f"no destination is called {sorted(missing)[0]!r}")
        if not self.peer and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("a node that others can reach names its peers in [[peer]]")
        if self.tls is not None and (self.tls.certificate is None or self.tls.key is None):
            raise ValueError("tls of the node needs certificate and key")
        return self


def read_settings(path: str | Path) -> NodeSettings:
    """The settings in a TOML file.

    Raises
    ------
    UsageError
        E_READ: no such file. E_CONFIG: not TOML, an unknown key, or a value that cannot be.

    Examples
    --------
    >>> from pathlib import Path
    >>> from isotone.serving.node_settings import read_settings
    >>> _ = Path("node.toml").write_text('''
    ... spool = "spool"
    ... archive = ["pacs"]
    ... [[destination]]
    ... kind = "dicom"
    ... name = "pacs"
    ... host = "127.0.0.1"
    ... port = 4242
    ... ae_title = "PACS"
    ... [[rule]]
    ... name = "mammography"
    ... harmonizer = "harmonizer"
    ... to = ["pacs"]
    ... ''')
    >>> settings = read_settings("node.toml")
    >>> settings.host, settings.rule[0].refused
    ('127.0.0.1', 'hold')
    """
    path = Path(path)
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", code="E_READ", file=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"this is no TOML: {error}", code="E_CONFIG", file=path) from None
    except RecursionError:
        raise UsageError("its brackets lie too deep in each other", code="E_CONFIG", file=path) from None
    try:
        return _absolute(NodeSettings.model_validate(body), path.resolve().parent)
    except ValidationError as error:
        raise UsageError(_said(error), code="E_CONFIG", file=path) from None


WANTED = {
    "model_type": "a table is wanted, as {key = value}",
    "model_attributes_type": "a table is wanted, as {key = value}",
    "tuple_type": "a list is wanted: [value], or [[name]] above each of several tables",
}
"""What pydantic says in terms of Python."""


def _said(error: ValidationError) -> str:
    """The first complaint in one clause, without the value: it might be a secret in the wrong place."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("dicom", "dicomweb"))
    if first["type"] == "extra_forbidden":
        return f"unknown key {where}"
    what = WANTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what


def _absolute(table: T, folder: Path) -> T:
    """The same table with every path under the folder of the file."""

    def below(value: object) -> object:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, BaseModel):
            return _absolute(value, folder)
        return tuple(below(one) for one in value) if isinstance(value, tuple) else value

    return table.model_copy(update={name: below(getattr(table, name)) for name in type(table).model_fields})
