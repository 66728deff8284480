"""What pyproject.toml cannot say: of the short names (envs, demos, generative) a wheel holds the door, not the
house again.
"""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Copies the modules of gail_suite, and of the packages under their short names `__init__` only."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """As setuptools', without the modules that gail_suite holds already."""
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if package.startswith("gail_suite") or module[1] == "__init__"]


setup(cmdclass={"build_py": BuildPy})
