"""What tests of kept images share."""

from __future__ import annotations

import pytest

from isotone.data import sample
from isotone.data.sample import Sample


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded."""
    names = []
    take = sample.TakeSample.__call__

    def spy(self: sample.TakeSample, image: object) -> Sample:
        names.append(image.header.path.name)  # type: ignore[attr-defined]
        return take(self, image)  # type: ignore[arg-type]

    monkeypatch.setattr(sample.TakeSample, "__call__", spy)
    return names
