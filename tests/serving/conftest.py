"""What tests of a node's parts share: an empty spool and its queue."""

from pathlib import Path

import pytest

from isotone.serving.object_queue import ObjectQueue
from isotone.serving.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def queue(spool: Spool) -> ObjectQueue:
    return ObjectQueue(spool.database)
