"""What every test file shares: Hypothesis without deadlines (machines differ), and single-threaded numerics."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Two xdist workers on two cores: threads within each would only fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("isotone", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("isotone")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands keep of images lies in no user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOTONE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
