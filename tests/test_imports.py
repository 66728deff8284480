"""Who may import whom: read from the import statements, wherever they stand."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"envs", "demos", "generative", "gail_suite", "benchmarks", "tests"}
ALLOWED: dict[str, set[str]] = {
    "envs": set(),
    "generative": set(),
    "demos": {"envs"},
    "gail_suite": {"envs", "demos", "generative"},
}


def imported(file: Path) -> set[str]:
    """Full names of the modules that a file imports, `from a import b` as a and a.b, relative ones resolved."""
    package = file.relative_to(ROOT).with_suffix("").parts
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [*package[: len(package) - node.level], node.module or ""] if node.level else [node.module or ""]
            )
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_they_may(package: str) -> None:
    found = files(package)
    assert found, f"no file in {package}"
    for file in found:
        tops = {name.split(".")[0] for name in imported(file)} & OURS
        assert tops <= ALLOWED[package] | {package}, f"{file.relative_to(ROOT)} imports {sorted(tops)}"


def test_demos_does_without_torch() -> None:
    for file in files("demos"):
        assert "torch" not in {name.split(".")[0] for name in imported(file)}, file.relative_to(ROOT)


def test_nobody_imports_the_command_line() -> None:
    allowed = {ROOT / "gail_suite/__main__.py", ROOT / "gail_suite/cli.py"}
    for file in files("envs", "demos", "generative", "gail_suite", "benchmarks"):
        if file not in allowed and ROOT / "gail_suite/commands" not in file.parents:
            found = {n for n in imported(file) if n.startswith(("gail_suite.cli", "gail_suite.commands"))}
            assert not found, f"{file.relative_to(ROOT)} imports {sorted(found)}"
    for file in files("gail_suite/commands"):
        assert not any(name.startswith("gail_suite.cli") for name in imported(file)), file.relative_to(ROOT)


def test_evaluate_and_video_know_nothing_of_learning() -> None:
    learning = {
        "bc",
        "adversary",
        "gail",
        "airl",
        "sac",
        "networks",
        "losses",
        "rewards",
        "replay",
        "learners",
        "reward_env",
        "policy",
    }
    for name in ("evaluation", "video"):
        assert not {f"gail_suite.{m}" for m in learning} & imported(ROOT / f"gail_suite/{name}.py")


def test_imitation_is_imported_in_one_place_of_each_package() -> None:
    allowed = {ROOT / "gail_suite/reference.py", ROOT / "demos/interchange.py", ROOT / "demos/imitation_format.py"}
    for file in files("envs", "demos", "generative", "gail_suite"):
        if file not in allowed:
            assert "imitation" not in {name.split(".")[0] for name in imported(file)}, file.relative_to(ROOT)


def test_nothing_on_a_load_path_unpickles() -> None:
    for file in files("envs", "demos", "generative", "gail_suite"):
        tops = {name.split(".")[0] for name in imported(file)}
        assert not tops & {"pickle", "cloudpickle", "dill", "joblib"}, file.relative_to(ROOT)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("torch.load", "yaml.load", "eval", "exec"), (
                    f"{file.relative_to(ROOT)}:{node.lineno}"
                )


def test_public_names_stay_what_they_are_after_their_modules_are_imported() -> None:
    import importlib

    import gail_suite as gs

    for name, home in gs._HOMES.items():
        module = importlib.import_module(f"gail_suite.{home}")
        assert getattr(gs, name) is getattr(module, name), name
