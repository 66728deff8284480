"""One small file of every kind."""

import pytest

from benchmarks.soak.samples import samples


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    return samples(tmp_path_factory.mktemp("samples"))
