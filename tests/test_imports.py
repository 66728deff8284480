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


def top(name: str) -> str:
    """The package that a module is of: envs, demos and generative are packages of their own inside gail_suite."""
    parts = name.split(".")
    return parts[1] if parts[0] == "gail_suite" and len(parts) > 1 and parts[1] in ALLOWED else parts[0]


def files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_they_may(package: str) -> None:
    found = files(package)
    assert found, f"no file in {package}"
    for file in found:
        tops = {top(name) for name in imported(file) if name != "gail_suite"} & OURS
        assert tops <= ALLOWED[package] | {package}, f"{file.relative_to(ROOT)} imports {sorted(tops)}"


SHORT = (
    r"sed -i -E 's/from (envs|demos|generative)\b/from gail_suite.\1/; "
    r"s/^( *)import (envs|demos|generative)\b/\1from gail_suite import \2/'"
)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_each_other_from_the_one_root_which_no_folder_of_a_user_hides(package: str) -> None:
    for file in files(package):
        short = {name for name in imported(file) if name.split(".")[0] in ("envs", "demos", "generative")}
        assert not short, f"{file.relative_to(ROOT)} imports {sorted(short)}: {SHORT} {file.relative_to(ROOT)}"


def test_demos_does_without_torch() -> None:
    for file in files("demos"):
        assert "torch" not in {name.split(".")[0] for name in imported(file)}, file.relative_to(ROOT)


def test_nobody_imports_the_command_line() -> None:
    allowed = {ROOT / "gail_suite/__main__.py"}  # and the soak, which runs commands as people do
    for file in files("envs", "demos", "generative", "gail_suite", "benchmarks"):
        if file not in allowed and not {ROOT / "gail_suite/commands", ROOT / "benchmarks/soak"} & set(file.parents):
            found = {n for n in imported(file) if n.startswith(("gail_suite.commands.cli", "gail_suite.commands"))}
            assert not found, f"{file.relative_to(ROOT)} imports {sorted(found)}"
    for file in files("gail_suite/commands"):
        assert not any(name.startswith("gail_suite.commands.cli") for name in imported(file)), file.relative_to(ROOT)


ROOMS = {
    "commands": {"jobs", "algorithms", "priors", "learning", "showing", "runs"},
    "jobs": {"algorithms", "priors", "learning", "showing", "runs"},
    "algorithms": {"priors", "learning", "showing", "runs"},
    "priors": {"learning", "showing", "runs"},
    "learning": {"showing", "runs"},
    "showing": {"runs"},
    "runs": set(),
}
"""Room of gail_suite -> rooms that it may import from; arrows point down only."""


def test_every_module_of_the_suite_stands_in_a_room() -> None:
    outside = {file.name for file in (ROOT / "gail_suite").glob("*.py")}
    assert outside == {"__init__.py", "__main__.py"}
    found = {
        folder.name
        for folder in (ROOT / "gail_suite").iterdir()
        if (folder / "__init__.py").is_file() and not folder.is_symlink()
    }
    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_from_rooms_below(room: str) -> None:
    for file in files(f"gail_suite/{room}"):
        rooms = {name.split(".")[1] for name in imported(file) if top(name) == "gail_suite" and "." in name}
        assert rooms <= ROOMS[room] | {room}, f"{file.relative_to(ROOT)} imports {sorted(rooms)}"


MODEL_ROOMS = {
    "using": {"mixtures", "interface", "training", "networks", "core"},
    "adversarial": {"measuring", "interface", "training", "data", "networks", "core"},
    "latent": {"autoregressive", "mixtures", "interface", "training", "data", "networks", "core"},
    "autoregressive": {"interface", "training", "data", "networks", "core"},
    "measuring": {"mixtures", "interface", "core"},
    "mixtures": {"interface", "training", "core"},
    "interface": {"training", "data", "core"},
    "training": {"data", "core"},
    "data": {"core"},
    "networks": {"core"},
    "core": set(),
}
"""Room of generative -> rooms that it may import from; arrows point down only."""


def test_every_module_of_generative_stands_in_a_room_of_at_most_sixteen() -> None:
    assert {file.name for file in (ROOT / "generative").glob("*.py")} == {"__init__.py"}
    found = {folder.name: folder for folder in (ROOT / "generative").iterdir() if (folder / "__init__.py").is_file()}
    assert set(found) == set(MODEL_ROOMS)
    for folder in found.values():
        assert len(list(folder.rglob("*.py"))) <= 17, folder.name


@pytest.mark.parametrize("room", MODEL_ROOMS)
def test_rooms_of_generative_import_only_from_rooms_below(room: str) -> None:
    for file in files(f"generative/{room}"):
        names = {name for name in imported(file) if name.startswith("gail_suite.generative.")}
        rooms = {name.split(".")[2] for name in names} & set(MODEL_ROOMS)
        assert rooms <= MODEL_ROOMS[room] | {room}, f"{file.relative_to(ROOT)} imports {sorted(rooms)}"


def test_a_folder_has_at_most_sixteen_modules() -> None:
    folders = {file.parent for file in files("envs", "demos", "generative", "gail_suite")}
    for folder in folders:
        modules = [file.name for file in folder.glob("*.py") if file.name not in ("__init__.py", "__main__.py")]
        assert len(modules) <= 16, f"{folder.relative_to(ROOT)} has {len(modules)} modules: {sorted(modules)}"


def test_imitation_is_imported_in_one_place_of_each_package() -> None:
    allowed = {
        ROOT / "gail_suite/algorithms/reference.py",
        ROOT / "demos/exchange/interchange.py",
        ROOT / "demos/exchange/imitation_format.py",
    }
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
