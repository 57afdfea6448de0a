"""What every test file shares: Hypothesis without deadlines (machines differ), and single-threaded numerics."""

import os

from hypothesis import settings

# Two xdist workers on two cores: threads within each would only fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("isotone", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("isotone")
