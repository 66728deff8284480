"""What the tests of other people's tasks, data and agents share."""

from pathlib import Path

import pytest

from gail_suite import envs

HERE = Path(__file__).parent
PUBLIC = HERE.parents[2] / "shared/data/public_demos"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "case(section, what, answer): a line of docs/compatibility.md")


@pytest.fixture(scope="session", autouse=True)
def _own_tasks() -> None:
    envs.import_tasks(HERE / "own_tasks.py")


@pytest.fixture(scope="session")
def public_demos() -> Path:
    """Demonstrations by other people, which stand beside the checkout and not in it."""
    if not PUBLIC.is_dir():
        pytest.skip(f"no {PUBLIC}")
    return PUBLIC
