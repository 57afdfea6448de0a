"""A configuration is checked once, and what is wrong with it is said in one line without its values."""

from __future__ import annotations

from pathlib import Path

import pytest

from isotone.errors import UsageError
from isotone.serving.node_settings import Peer, Retry, Secret, read_settings
from nodes import ONE_DESTINATION

GOOD = ONE_DESTINATION.replace('"archive"', '"pacs"')


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "node.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_settings(path)
    assert error.value.code == "E_CONFIG"
    assert "\n" not in str(error.value)
    return str(error.value)


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path):
    (tmp_path / "node.toml").write_text(GOOD)
    settings = read_settings(tmp_path / "node.toml")
    assert (settings.spool, settings.rule[0].harmonizer) == (tmp_path / "spool", tmp_path / "model")
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('spool = "spool"', 'spool = "spool"\nspol = 1', "unknown key spol"),
        ("port = 4242", "port = 4242\npassword = 'geheim'", "unknown key destination.0.password"),
        ("port = 4242", "port = 70000", "destination.0.port"),
        ('archive = ["pacs"]', 'archive = ["pac"]', "no destination is called 'pac'"),
        ('archive = ["pacs"]', "", "archive: field required"),
        ('ae_title = "PACS"', 'ae_title = "a title that is too long"', "ae_title"),
        ('archive = ["pacs"]', 'archive = ["pacs"]\nhost = "0.0.0.0"', "names its peers"),
        ("[[rule]]", "[[rule", "no TOML"),
        ('name = "all"', 'name = "all"\nbody_part = ["geheim"]', "rule.0.body_part.0: no such code"),
        ("[[rule]]", "[watching]\nwebhook = {url = 'geheim'}\n[[rule]]", "watching.webhook.url"),
        ("[[rule]]", "[watching.webhook]\nurl = {geheim = 'geheim'}\n[[rule]]", "watching.webhook.url"),
        ('spool = "spool"', "spool = 3", "spool: "),
        ("[[rule]]", "[rule]", "rule: a list is wanted"),
        ("port = 4242", "port = 4242\ntls = 'geheim'", "destination.0.tls: a table is wanted"),
        ('name = "all"', 'name = "all"\nsop_class = ["geheim"]', "rule.0.sop_class.0"),
        ("[[rule]]", "[watching]\ntextfile = 'geheim.txt'\n[[rule]]", "watching: the name of textfile"),
        ("[[rule]]", "[watching]\nwebhook = {url = 'http://[::1/geheim'}\n[[rule]]", "watching.webhook.url"),
        ("[[rule]]", "[watching]\nwebhook = {url = 'http:///geheim'}\n[[rule]]", "watching.webhook.url"),
        ("[[rule]]", "[watching]\nwebhook = {url = 'http://u:geheim@a.b'}\n[[rule]]", "watching.webhook.url"),
        ("[[rule]]", "[watching]\nwebhook = {url = 'http://geheim:99999'}\n[[rule]]", "watching.webhook.url"),
        ('spool = "spool"', f"spool = {'[' * 5000}", "too deep"),
        ('spool = "spool"', 'spool = "spool"\nrule = "all"', "no TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_the_value(tmp_path, before, after, said):
    line = refused(tmp_path, GOOD.replace(before, after, 1))
    assert said in line
    assert "geheim" not in line


def test_a_secret_comes_from_a_file_or_the_environment_alone(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("abc\n")
    monkeypatch.setenv("TOKEN", "def")
    assert Secret(file=tmp_path / "token").read() == "abc"
    assert Secret(environment="TOKEN").read() == "def"
    with pytest.raises(UsageError):
        Secret(file=tmp_path / "none").read()
    with pytest.raises(ValueError, match="one of them"):
        Secret()


def test_waits_double_up_to_the_longest():
    retry = Retry(first_seconds=2, longest_seconds=10)
    assert [retry.wait(n) for n in (1, 2, 3, 4, 10_000)] == [2, 4, 8, 10, 10]


def test_a_peer_covers_the_addresses_of_its_networks():
    peer = Peer(ae_title="CT", address=["192.0.2.0/24"])  # type: ignore[arg-type]
    assert peer.covers("192.0.2.7")
    assert not peer.covers("198.51.100.1")
    assert Peer(ae_title="CT").covers("198.51.100.1")
