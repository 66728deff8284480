"""What people install: a wheel and a checkout, also where a folder of the user's own has packages with our short
names.
"""

import ast
import importlib
import os
import pickle
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import demos.store
import envs.toy
import gail_suite
import generative.mixtures.gmm

ROOT = Path(__file__).resolve().parent.parent
SHORT = ("envs", "demos", "generative")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what a wheel of this tree installs."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("site")
    for name in (*SHORT, "gail_suite"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(out)
    return out


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of a user who has packages called envs, demos and generative."""
    for name in SHORT:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWN = True\n")
    return tmp_path


def run(script: str, folder: Path, path: Path) -> None:
    """A script in a folder, with the suite at `path`."""
    settings = os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


USED = """
import demos, envs, generative
assert demos.OWN and envs.OWN and generative.OWN

import gail_suite as gs

assert not hasattr(gs.envs, "OWN")
shown = gs.demos.record(gs.envs.toy_expert, gs.envs.TOY_ID, n_episodes=3, seed=0, out="shown")
cloning = gs.BC(gs.envs.TOY_ID, gs.demos.load("shown"), gs.BCConfig(steps=20), run_dir="run")
policy = cloning.train(eval_episodes=2).policy
assert gs.evaluate(gs.load_policy("run"), gs.envs.TOY_ID, n_episodes=2, seed=0).lengths.sum() > 0
gs.generative.GaussianMixture(2).fit(shown.transitions().obs, seed=0).save("mixture")
assert len(gs.generative.load("mixture").sample(3, seed=0)) == 3
gs.priors.prior.fit_prior(shown, "gmm").save("prior")
"""
SWEPT = """
from gail_suite.commands.cli import main

sweep = ["sweep", "bc", "--demos", "shown", "--out", "sweep", "--seeds", "0", "--steps", "20", "--eval-episodes", "2"]
assert main([*sweep, "--quiet"]) == 0
"""


def test_packages_of_the_user_hide_nothing_of_a_wheel(site: Path, own: Path) -> None:
    run(USED + SWEPT, own, site)  # some 15 s, half of them in the process of the sweep's run


def test_packages_of_the_user_hide_nothing_of_a_checkout(own: Path) -> None:
    run(USED + SWEPT, own, ROOT)


def test_packages_of_the_user_hide_nothing_of_a_worker_of_ray(own: Path) -> None:
    pytest.importorskip("ray")  # the extra `cluster`; some 20 s, most of them Ray's
    run(USED + SWEPT.replace('"--quiet"', '"--quiet", "--ray", "local"'), own, ROOT)


def test_a_wheel_has_the_short_names_and_the_files_that_are_no_code(site: Path, tmp_path: Path) -> None:
    assert {p.name for name in SHORT for p in (site / name).iterdir()} == {"__init__.py", "py.typed"}
    assert all((site / "gail_suite" / name / "py.typed").is_file() for name in (*SHORT, "."))
    (info,) = site.glob("gail_suite-*.dist-info")
    assert info.name == f"gail_suite-{gail_suite.__version__}.dist-info" and (info / "licenses" / "LICENSE").is_file()
    script = """
import envs.toy, gail_suite.envs.toy as toy, demos, generative as g
from generative.mixtures.gmm import GaussianMixture
assert envs.toy is toy and envs.toy.PointToy is toy.PointToy and g.GaussianMixture is GaussianMixture
assert envs.spec("Ant-v5").expert_return.mean > 0 and set(demos.experts()) >= {"Ant-v5", "Humanoid-v5"}
demos.expert("Ant-v5")
"""
    run(script, tmp_path, site)


def test_short_names_are_the_modules_of_gail_suite() -> None:
    assert envs is gail_suite.envs and envs.toy is sys.modules["gail_suite.envs.toy"]
    assert demos.store is sys.modules["gail_suite.demos.store"]
    assert generative.mixtures.gmm is sys.modules["gail_suite.generative.mixtures.gmm"]
    assert envs.toy.__spec__ is not None and envs.toy.__spec__.name == "gail_suite.envs.toy"
    for package in (envs, demos, generative):
        offered = {name: getattr(package, name) for name in package.__all__}
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            short = importlib.import_module(found.name.removeprefix("gail_suite."))
            assert short is sys.modules[found.name]
        assert {name: getattr(package, name) for name in offered} == offered  # `demos.record` stays a function
    model = pickle.loads(pickle.dumps(generative.GaussianMixture(2)))
    assert isinstance(model, gail_suite.generative.GaussianMixture)
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'envs\.no_such'"):
        importlib.import_module("envs.no_such")


def test_the_suite_says_what_it_offers() -> None:
    shown = dir(gail_suite)
    assert {"GAIL", "BC", "evaluate", "load_policy", "envs", "demos", "generative", "priors", "__version__"} <= set(
        shown
    )
    assert all(hasattr(gail_suite, name) for name in shown)
    assert f"version: {gail_suite.__version__}\n" in (ROOT / "CITATION.cff").read_text()


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
"""Module of a distribution that is called otherwise."""
BROUGHT = {"glfw"}
"""What comes with a dependency: MuJoCo opens its windows through glfw."""


def modules(requirements: list[str]) -> set[str]:
    """What the distributions of a list bring."""
    names = {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in requirements}
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imports(node: ast.AST, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """(top-level module, whether inside a function or for types alone) of every import of a file."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield (child.module or "").split(".")[0], lazy
        types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from imports(child, lazy or types or isinstance(child, ast.FunctionDef))


LATE = {"gail_suite/jobs/tune.py"}
"""Modules that are imported only where their extra is used."""


def test_what_is_imported_is_declared_and_extras_only_where_they_are_used() -> None:
    core = modules(PROJECT["dependencies"]) | BROUGHT | {"gail_suite"} | set(sys.stdlib_module_names)
    extras = {"imitation"}.union(*(modules(r) for name, r in PROJECT["optional-dependencies"].items() if name != "dev"))
    for file in (path for name in (*SHORT, "gail_suite") for path in (ROOT / name).rglob("*.py")):
        for module, lazy in imports(ast.parse(file.read_text())):
            lazy = lazy or str(file.relative_to(ROOT)) in LATE
            assert module in core or (module in extras and lazy), f"{file.relative_to(ROOT)} imports {module}"


WITHOUT = """
import sys
for name in ("mujoco", "gymnasium", "stable_baselines3", "sklearn"):
    sys.modules[name] = None

import warnings
import generative as g
import torch

model = g.GaussianMixture(2).fit(torch.randn(40, 3), seed=0)
assert model.sample(3, seed=0).shape == (3, 3)
g.VAE().fit(torch.rand(16, 1, 8, 8), steps=2, progress=False).sample(2, seed=0)
digits = g.data.load("digits")
assert digits.x_train.shape == (1000, 1, 8, 8) and int(digits.y_test.max()) == 9
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    g.GaussianMixture(5, max_iter=1).fit(torch.randn(40, 3))
assert "did not converge in 1 iterations" in str(told[0].message)
try:
    g.VAE().sample(2)
except ValueError as error:
    assert "is not fitted yet" in str(error)

from gail_suite.commands.cli import main
assert main(["gen", "fit", "gmm", "digits", "--out", "model.safetensors", "--steps", "2", "--quiet"]) == 0
"""


def test_generative_models_need_no_simulator(tmp_path: Path) -> None:
    run(WITHOUT, tmp_path, ROOT)


@pytest.mark.parametrize("module", ["envs.toy", "demos.store", "generative.mixtures"])
def test_others_may_clear_the_importers_caches(module: str) -> None:
    code = f"import {module.partition('.')[0]}, importlib; importlib.invalidate_caches(); import {module}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
