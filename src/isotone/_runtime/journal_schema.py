"""The tables of the journal (`isotone._runtime.journal`), as this build makes them and an earlier one did."""

from __future__ import annotations

import sqlite3
from contextlib import closing

APPLICATION = 0x49534F54
"""Tells the file from anybody else's (https://sqlite.org/fileformat2.html, offset 68)."""
# Rows lie in the order in which they come, which fills the pages: a table by its hashes leaves a third of each empty.
SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = 1;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE images (source BLOB PRIMARY KEY, key BLOB, folder INTEGER, name BLOB, target_folder INTEGER, target BLOB,
  target_id INTEGER, shared INTEGER, body TEXT NOT NULL, run INTEGER NOT NULL);
CREATE INDEX targets ON images (target_id) WHERE target_id IS NOT NULL;
"""
EARLIER = SCHEMA.replace("run INTEGER NOT NULL);", "run INTEGER NOT NULL) WITHOUT ROWID;")
"""As an earlier build had it: the same statements read and write both, and a folder begun so goes on so."""


def has_schema(db: sqlite3.Connection) -> bool:
    """Whether a database has the tables of a journal, and nothing else."""
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    found = db.execute(query).fetchall()
    for schema in (SCHEMA, EARLIER):
        with closing(sqlite3.connect(":memory:")) as ours:
            ours.executescript(schema)
            if found == ours.execute(query).fetchall():
                return True
    return False
