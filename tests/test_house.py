"""Rules of the house (docs/design.md): imports run one way, public names are few, the light half needs no torch."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import isotone
from isotone.cli.app import EXTRAS

SRC = Path(isotone.__file__).parent

ROOMS = (
    "_runtime",
    "curves",
    "imaging",
    "data",
    "estimation",
    "monitoring",
    "networks",
    "baselines",
    "harmonizer",
    "deployment",
    "interop",
    "serving",
    "evaluation",
    "cli",
)
"""From the bottom up; a module imports from its own room and from those below it."""

FLOORS = {
    "data": ("manifests", "", "descriptors", "phantom", "cohorts"),
    "evaluation": ("", "reproduction"),
}
"""Folders of a room whose order counts as well, from the bottom up; "" is the room's own files."""

ROOT = {"__init__", "_version", "errors", "safe_text"}

APART = {"networks": ("estimation", "monitoring"), "evaluation": ("deployment",), "estimation": ("networks",)}
"""Rooms that a room must not import although they may lie below it."""

TORCH = ("networks", "evaluation.reproduction.curve_by_task_loss")
"""What imports torch as it loads. Others reach it inside functions."""

TRAIN = ("networks", "evaluation", "data.cohorts")
"""What may import other packages of the extra `train` as it loads."""

NAMED_FOR = {
    "interop.monai": {"monai"},
    "interop.torchio": {"torchio"},
    "interop.onnx": {"onnx", "onnxruntime"},
    "interop.onnx_curve": {"onnx"},
    "interop.sklearn": {"sklearn"},
}
"""What a module that is named for a library imports as it loads."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SRC.rglob("*.py") if path != SRC / "__init__.py"}


def floor(name: str) -> tuple[int, int]:
    """The level of a module: of its room, then of its folder within the room."""
    room, _, rest = name.partition(".")
    if room in ROOT or not room:
        return (-1, 0)
    assert room in ROOMS, f"{room} is no room: add it to ROOMS and to docs/design.md"
    folders = FLOORS.get(room, ("",))
    folder = rest.partition(".")[0]
    return ROOMS.index(room), folders.index(folder if folder in folders else "")


def imports(path: Path, *, at_load: bool) -> set[str]:
    """Names that a module imports; with `at_load` only those it imports while it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def ours(names: set[str]) -> set[str]:
    inside = {name.removeprefix("isotone.") for name in names if name.startswith("isotone.")}
    return {name for name in inside if name in MODULES}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_downwards(name: str) -> None:
    """No module imports from a room above its own, not even inside a function."""
    for other in ours(imports(MODULES[name], at_load=False)):
        assert floor(other) <= floor(name), f"isotone.{name} imports isotone.{other}, which is above it"
        room = other.partition(".")[0]
        assert room not in APART.get(name.partition(".")[0], ()), f"isotone.{name} imports isotone.{other}"


def test_the_house_has_fourteen_rooms_and_four_files_at_the_door() -> None:
    rooms = {path.parent.name for path in SRC.glob("*/__init__.py")}
    assert rooms <= set(ROOMS)
    assert len(ROOMS) <= 14
    assert {path.stem for path in SRC.glob("*.py")} == ROOT


@pytest.mark.parametrize("room", [room for room in ROOMS if (SRC / room).exists() and room != "cli"])
def test_a_room_names_its_question(room: str) -> None:
    """The docstring of its package is one question and what the room may import."""
    text = ast.get_docstring(ast.parse((SRC / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "?" in text
    assert "Imports" in text


def test_no_two_modules_import_each_other() -> None:
    """Within a room, too, imports make no circle."""
    graph = {name: ours(imports(path, at_load=False)) - {name} for name, path in MODULES.items()}
    while graph:
        leaves = [name for name, needs in graph.items() if not needs & graph.keys()]
        assert leaves, f"a circle among {sorted(graph)}"
        for leaf in leaves:
            del graph[leaf]


@pytest.mark.parametrize("name", sorted(n for n in MODULES if not n.startswith(TORCH)))
def test_only_networks_load_torch(name: str) -> None:
    """A module outside that room imports neither torch nor that room while it is loaded."""
    names = imports(MODULES[name], at_load=True)
    heavy = {"torch", "safetensors", "monai", "torchio", "onnx", "onnxruntime", "huggingface_hub"}
    assert not {n for n in names if n.partition(".")[0] in heavy - NAMED_FOR.get(name, set())}
    allowed = {"networks.prepare"}  # picklable and on numpy alone, so that workers need no torch
    assert not {n for n in ours(names) if n.startswith(TORCH)} - allowed


@pytest.mark.parametrize("name", sorted(n for n in MODULES if not n.startswith(TRAIN)))
def test_the_light_half_loads_no_extra(name: str) -> None:
    """Packages of extras are imported inside the functions that need them."""
    extras = EXTRAS.keys() - {"torch", "safetensors"} - NAMED_FOR.get(name, set())  # the test above has these two
    assert not {n for n in imports(MODULES[name], at_load=True) if n.partition(".")[0] in extras}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_is_unpickled_and_torchvision_stays_out(name: str) -> None:
    """Model files are safetensors and JSON."""
    roots = {n.partition(".")[0] for n in imports(MODULES[name], at_load=False)}
    assert not roots & {"pickle", "dill", "joblib", "shelve", "torchvision"}


def test_the_public_names_are_these() -> None:
    """A new public name is a decision: it is made here."""
    assert sorted(isotone.__all__) == [
        *(
            "Certificate",
            "Classifier",
            "DisplayWindow",
            "Encoding",
            "FullRange",
            "GDCE",
            "GDCESettings",
            "HistogramMatching",
        ),
        *("IsotoneError", "Manifest", "Nyul", "Radiograph", "ScannerSettings", "ToneCurve", "ToneCurveHarmonizer"),
        *("TrainSettings", "ZScore", "__version__", "apply", "audit", "check", "compare", "evaluate", "inspect"),
        *("make_phantom", "read_radiograph", "restore", "train_classifier"),
    ]
    for name in isotone.__all__:
        assert getattr(isotone, name) is not None
        assert name == "__version__" or getattr(isotone, name).__doc__


def test_help_loads_neither_torch_nor_numpy() -> None:
    """So that it answers at once."""
    code = "import sys, isotone.cli; print(sorted({'torch', 'numpy', 'pandas', 'pydicom'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_are_short(name: str) -> None:
    """At most 400 lines: a longer one holds two ideas."""
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400


def test_the_map_of_the_house_names_every_file() -> None:
    drawn = (SRC.parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
    files = {path.stem for path in MODULES.values()} - {"__init__"}
    assert sorted(name for name in files if f"`{name}`" not in drawn) == []


def test_no_text_refers_to_a_document_outside_the_repository() -> None:
    """Whoever has the repository has all that it cites: formulas, DOIs and pages of docs/."""
    root = SRC.parents[1]
    pages = {path.name for path in root.rglob("*.md") if ".venv" not in path.parts}
    for folder in ("src", "tests", "benchmarks", "docs"):
        for path in (root / folder).rglob("*.*"):
            if path.suffix in {".py", ".md"}:
                cited = set(re.findall(r"\b[A-Z_]{3,}\.md\b", path.read_text(encoding="utf-8")))
                assert cited <= pages, f"{path} cites {sorted(cited - pages)}"


BENCHMARKS = SRC.parents[1] / "benchmarks"
ONE_FIT = {"fit_source", "measured_points", "predicted_gain", "reference_model", "settings", "report"}
"""Modules of `estimation` that a benchmark may use: the fit, and what goes in and comes out."""


def fit_steps(path: Path) -> set[str]:
    """Modules of `estimation` that a script imports beside those of the one fit."""
    names = imports(path, at_load=False)
    used = {name.split(".")[2] for name in names if name.startswith("isotone.estimation.")}
    return {name for name in used if f"estimation.{name}" in MODULES} - ONE_FIT


@pytest.mark.parametrize("path", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_repeats_no_step_of_the_fit(path: Path) -> None:
    """What is measured is what ships: benchmarks call `fit_source`, and none of its steps by itself."""
    assert not fit_steps(path)


def test_a_benchmark_that_repeats_a_step_is_found(tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text("def fit():\n    from isotone.estimation.transport import Pool\n", encoding="utf-8")
    assert fit_steps(script) == {"transport"}


@pytest.mark.parametrize("name", sorted(n for n in MODULES if n.startswith(("harmonizer", "evaluation"))))
def test_a_room_above_repeats_no_step_of_the_fit(name: str) -> None:
    """But for what is stored of it: blends and residuals in mappers, and how many patients a tone model needs."""
    assert fit_steps(MODULES[name]) <= {"image_blend", "tone_residual", "tone_model", "class_prior", "stored_arrays"}


LONG = {"cli.judge": {"evaluate"}, "cli.learn": {"fit"}}
"""Functions of more than 60 lines; the set only shrinks. What a command offers is a parameter each."""


@pytest.mark.parametrize("name", sorted(MODULES))
def test_functions_are_short(name: str) -> None:
    """At most 60 lines beside the docstring."""
    found = {}
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            first = node.body[0]
            said = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) and first.end_lineno else 0
            found[node.name] = node.end_lineno - node.lineno + 1 - said
    assert {function for function, lines in found.items() if lines > 60} == LONG.get(name, set())


def test_no_file_may_branch_or_ask_more() -> None:
    """Outside the command line there is no exception to eight branches and eight parameters."""
    text = (SRC.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    ignores = tomllib.loads(text)["tool"]["ruff"]["lint"]["per-file-ignores"]
    own = {path: codes for path, codes in ignores.items() if path.startswith("src/") and "/cli/" not in path}
    assert not any({"C901", "PLR0913"} & set(codes) for codes in own.values())
