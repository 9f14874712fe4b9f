"""Which layer may import which, and that both frameworks have the same modules and functions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tandem.frameworks import framework_names
from tandem.layers import kinds_of, layer_kinds

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("tandem", "stages", "flows", "dvcgraph")
FRAMEWORK_PACKAGES: dict[str, set[str]] = {"keras": {"keras", "tensorflow"}, "torch": {"torch"}, "numpy": set()}
FRAMEWORKS = {package for packages in FRAMEWORK_PACKAGES.values() for package in packages}


def modules(package: str) -> list[Path]:
    found = sorted((REPOSITORY / package).rglob("*.py"))
    assert found, f"{package} holds no module"
    return found


def imports(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; spell it out"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def offenders(package: str, forbidden: set[str], spared: str = "") -> list[str]:
    return [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules(package)
        if not spared or not path.is_relative_to(REPOSITORY / spared)
        for name in sorted(imports(path))
        if name.partition(".")[0] in forbidden
    ]


# Arrows point from who imports to who is imported: flows → dvcgraph (as a program) → stages → tandem.
@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("tandem", {"stages", "flows", "dvcgraph", "dvc", "prefect", "typer"}),
        ("stages", {"flows", "dvcgraph", "dvc", "prefect", "typer"} | FRAMEWORKS),
        ("dvcgraph", {"tandem", "stages", "flows", "prefect"} | FRAMEWORKS),
        ("flows", FRAMEWORKS | {"dvc"}),
    ],
)
def test_a_layer_imports_only_those_below_it(package, forbidden):
    assert offenders(package, forbidden) == []


def test_dvcs_own_modules_are_imported_in_one_file_only():
    users = {path.name for path in modules("dvcgraph") if {n.partition(".")[0] for n in imports(path)} & {"dvc"}}
    assert users == {"adapter.py"}


def test_only_a_frameworks_package_imports_a_framework():
    assert offenders("tandem", FRAMEWORKS, spared="tandem/frameworks") == []
    assert imports(REPOSITORY / "tandem/frameworks/__init__.py").isdisjoint(FRAMEWORKS)


@pytest.mark.parametrize("name", framework_names())
def test_a_frameworks_package_never_imports_the_other(name):
    forbidden = FRAMEWORKS - FRAMEWORK_PACKAGES[name]
    assert offenders(f"tandem/frameworks/{name}", forbidden) == []
    others = [
        f"{path.name} imports {module}"
        for path in modules(f"tandem/frameworks/{name}")
        for module in imports(path)
        if any(module.startswith(f"tandem.frameworks.{other}") for other in framework_names() if other != name)
    ]
    assert others == []


def test_the_check_sees_imports_inside_functions_and_of_names(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("def f():\n    import torch.nn as nn\n    from keras import layers\n")
    assert imports(path) == {"torch.nn", "keras", "keras.layers"}


# ------------------------------------------------------------------------------- what a process really loads


LIGHT = (
    "tandem.config", "tandem.plan", "tandem.training", "tandem.evaluation", "tandem.prediction", "tandem.report.pages",
    "tandem.sklearn",
    "dvcgraph.schedule", "flows.command_line", "flows.devices", "flows.publishing", "flows.report_server",
    *(f"stages.{path.stem}" for path in modules("stages") if path.stem != "__init__"),
)  # fmt: skip


def test_importing_these_modules_imports_no_framework(python):
    script = (
        "import importlib, sys\n"
        f"for module in {LIGHT!r}:\n"
        "    importlib.import_module(module)\n"
        f"    found = sorted({FRAMEWORKS!r} & set(sys.modules))\n"
        "    assert not found, f'{module} imports {found}'\n"
    )
    done = python("-c", script)
    assert done.returncode == 0, done.stderr


def test_importing_the_library_neither_writes_nor_prints(python, tmp_path):
    done = python("-c", "import tandem.config, tandem.plan, tandem.report.pages, stages.train, flows.command_line")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------- mirrored frameworks

# Modules that one framework alone needs, and why.
OWN_MODULES: dict[str, dict[str, str]] = {
    "keras": {
        "quiet": "TensorFlow prints to stderr while it is imported; PyTorch does not",
        "layers/windows": "XLA has no deterministic gradient of TensorFlow's largest in a window",
    },
    "torch": {
        "gradients": "Keras compiles its gradients; PyTorch's are written out for plain dense networks",
        "layers/windows": "padding as Keras's, which PyTorch's own layers cannot do",
        "population/functions": "PyTorch's vectorised functions round by a value's place; TensorFlow's do not",
        "population/dense": "PyTorch's step of many dense networks is written out; TensorFlow's is a graph",
        "layers/films": "PyTorch's convolutions take channels first; samples have them last",
        "layers/array": "PyTorch's tensors have another layout than Keras's",
        "device_process": "each of PyTorch's devices is a process; all of Keras's are in one",
    },
    "numpy": {},
}
# Modules that NumPy lacks: it is for dense networks, on one device.
NUMPY_LACKS = {f"layers/{kind}" for kind in layer_kinds() if kind not in kinds_of("numpy")} | {
    "several_devices", "population/layers", "population/optimizers"
}  # fmt: skip
# Modules whose trainers and inputs are classes, each framework's own.
CLASSES_ALONE = {"input", "several_devices", "population/layers", "population/optimizers"}
# Public functions that one framework alone has, and why.
OWN_FUNCTIONS: dict[str, dict[str, str]] = {
    "keras": {
        "fit.model_outputs": "a Keras model with one output gives it bare",
        "losses.batch_losses": "an XLA program sums losses up over its batches",
        "network.default_type": "an optimiser's learning rate has it; PyTorch's is a Python number",
        "network.carry": "a functional model and a subclassed one are wired alike; PyTorch has one way",
        "network.number_type": "a Keras model does not tell it",
        "network.named_variables": "Keras's variables are in Keras's layout",
        "population/layers.pad_rows": "TensorFlow rounds numbers left over at an array's end otherwise",
        "population/layers.root": "TensorFlow rounds numbers left over at an array's end otherwise",
        "population/layers.inverse_root": "TensorFlow rounds numbers left over at an array's end otherwise",
        "population/layers.member_numbers": "a graph takes them as arguments",
        "population/optimizers.optimizer_numbers": "a graph takes them as arguments",
        "population/optimizers.slot_names": "a graph carries slots as a mapping",
        "setup.device_names": "all of Keras's devices are in one process, by name",
        "optimizers.clipped": "gradients of one step inside a compiled program",
        "layers/__init__.register_layers": "Keras reads own layers from an archive only if they are known",
        "layers/__init__.layer_variables": "Keras's variables are in Keras's layout",
    },
    "torch": {
        "input.make_input": "Keras's rows in memory are constants of the compiled epoch",
        "input.target_tensor": "Keras takes labels of any integer type",
        "input.transformed": "Keras changes images inside the compiled epoch",
        "several_devices.join": "each of PyTorch's devices is a process",
        "several_devices.team_of": "each of PyTorch's devices is a process",
        "setup.device_of_rank": "each of PyTorch's devices is a process, by rank",
        "setup.batch_threads": "TensorFlow's threads are fixed; Keras trains several batches at a time instead",
        "setup.best_device": "TensorFlow places networks on a GPU by itself",
        "losses.batch_loss": "PyTorch's losses are means",
        "losses.mean_loss": "PyTorch's losses are means",
        "losses.sample_losses": "Keras's losses are of each sample already",
        "population/optimizers.make_optimizer": "a graph takes an optimiser's settings as arguments",
        "losses.step_factor": "of a loss that is a sum",
        "losses.weighted": "saves an operation for a weight of 1",
        "network.named_arrays": "PyTorch's tensors have another layout than Keras's",
        "network.input_tensors": "shared by fit and network",
        "network.device_of": "TensorFlow places networks on a GPU by itself",
        "layers/__init__.layer_arrays": "PyTorch's tensors have another layout than Keras's",
    },
}


def shared_modules(name: str) -> set[str]:
    folder = REPOSITORY / "tandem/frameworks" / name
    stems = {path.relative_to(folder).with_suffix("").as_posix() for path in modules(f"tandem/frameworks/{name}")}
    missing = set(OWN_MODULES[name]) - stems
    assert not missing, f"{name} no longer has {missing}; take it off the list of gaps"
    return stems - set(OWN_MODULES[name])


def public_functions(name: str, module: str) -> dict[str, list[str]]:
    tree = ast.parse((REPOSITORY / f"tandem/frameworks/{name}/{module}.py").read_text(encoding="utf-8"))
    return {
        node.name: [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def test_both_frameworks_have_the_same_modules():
    assert shared_modules("keras") == shared_modules("torch")


def test_numpy_has_the_same_modules_those_aside_that_dense_networks_do_not_need():
    assert shared_modules("numpy") == shared_modules("torch") - NUMPY_LACKS


@pytest.mark.parametrize("module", sorted(shared_modules("keras") - {"__init__"}))
def test_both_frameworks_have_the_same_functions(module):
    found = {}
    for name in ("keras", "torch"):
        functions = set(public_functions(name, module))
        own = {gap.rpartition(".")[2] for gap in OWN_FUNCTIONS[name] if gap.rpartition(".")[0] == module}
        assert own <= functions, f"{name} no longer has {own - functions}; take it off the list of gaps"
        # how a kind reads its own arrays is each framework's own
        found[name] = functions - own - {"tensors", "variables"}
    assert found["keras"] == found["torch"]
    assert found["keras"] or module in CLASSES_ALONE, f"{module} has no public function"


def test_all_frameworks_offer_the_same_names_with_the_same_arguments():
    offered = {}
    for name in framework_names():
        tree = ast.parse((REPOSITORY / f"tandem/frameworks/{name}/__init__.py").read_text(encoding="utf-8"))
        (names,) = (
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        )
        offered[name] = set(ast.literal_eval(names))
    assert offered["keras"] == offered["torch"] == offered["numpy"]
    for module in ("fit", "network", "save", "setup"):
        keras, *others = (public_functions(name, module) for name in ("keras", "torch", "numpy"))
        for other in others:
            for function in set(keras) & set(other) & offered["keras"]:
                # the first argument is the framework's own object and may be named after it
                assert keras[function][1:] == other[function][1:], f"{module}.{function}"
