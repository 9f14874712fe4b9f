"""Random DVC projects drawn from a seed, and random edits of them between two runs.

Every command is deterministic: what it writes is a checksum of its inputs and its own name, so that two runs of
one project give the same bytes. Each command also appends its stage's name to the file named in LEDGER.

Not drawn, because ``dvc repro`` and the runner differ there, or ``dvc repro`` differs from itself:

- Data of a ``.dvc`` file, or outs of a frozen stage, that are gone while DVC's cache holds them: ``dvc repro``
  fails, the runner takes them from the cache (test_like_dvc_repro.py holds that).
- An input that is edited while its stage runs: ``dvc repro`` records it as it is afterwards, the runner as it
  was before (test_stage_runs.py holds that).
- A frozen stage that records changed outs while a stage before it runs: DVC's order of the two is that of a
  set, and so is what it records.
- A dependency on a folder in which several stages have outs: DVC writes a line for each into the folder's
  .gitignore, in the order in which they end, and that file is a part of the dependency.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import PurePosixPath
from posixpath import relpath
from typing import Any

from ruamel.yaml import YAML

ROOT, BELOW = "dvc.yaml", "sub/dvc.yaml"
_TEMPLATES = re.compile(r"\$\{[^}]+\}(-\$\{[^}]+\})*")
_NEVER_MADE = "never-made"
FAILURES = (
    "exits with 3",
    "exits after its first out",
    "does not make its last out",
    "does not exist",
    "fails in the first of two commands",
    "is killed",
    "misses a dependency",
    "misses a parameter",
)


@dataclass(frozen=True)
class Out:
    """An out as dvc.yaml declares it; ``path`` is relative to the project and may hold a template."""

    path: str
    section: str = "outs"  # or metrics, plots
    options: dict[str, bool] = field(default_factory=dict)
    folder: bool = False
    executable: bool = False
    text: str | None = None  # the same in every run, whatever the inputs


@dataclass(frozen=True)
class Stage:
    """A stage, or a group of stages, as dvc.yaml declares it; paths are relative to the project."""

    name: str
    file: str = ROOT
    wdir: str = ""
    over: dict[str, Any] = field(default_factory=dict)  # foreach, or matrix
    items: tuple[str, ...] = ()  # what makes the names of a group's stages, after "@"
    deps: tuple[str, ...] = ()
    folders: frozenset[str] = frozenset()  # those of deps that are folders
    params: dict[str, tuple[str, ...]] = field(default_factory=dict)  # file: keys; no key: all of the file
    outs: tuple[Out, ...] = ()
    frozen: bool = False
    always_changed: bool = False
    several: bool = False  # a list of commands
    failure: str = ""
    version: int = 0
    template: str = ""  # a template that DVC fills in, in the command

    @property
    def addresses(self) -> tuple[str, ...]:
        """The names that DVC gives its stages, seen from the project's folder."""
        place = "" if self.file == ROOT else f"{self.file}:"
        return tuple(f"{place}{self.name}@{item}" for item in self.items) or (f"{place}{self.name}",)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The paths that dvc.yaml names as dependencies."""
        return (*self.deps, _NEVER_MADE) if self.failure == "misses a dependency" else self.deps

    @property
    def item(self) -> str:
        """The template that tells the stages of a group apart."""
        if not self.over:
            return ""
        if "matrix" in self.over:
            return "-".join(f"${{item.{key}}}" for key in self.over["matrix"])
        return "${key}" if isinstance(self.over["foreach"], dict) else "${item}"

    def made(self) -> Iterator[tuple[str, Out]]:
        """Yield the path of every out, the group's templates filled in."""
        for out in self.outs:
            for item in self.items or ("",):
                yield _TEMPLATES.sub(item, out.path), out


@dataclass(frozen=True)
class Edit:
    """What happens to a project between two runs; the same is done to both twins."""

    what: str
    write: dict[str, str] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    forget: tuple[tuple[str, str], ...] = ()  # lock file and entry


@dataclass(frozen=True)
class Round:
    """One run of both sides, after some edits."""

    stages: tuple[Stage, ...]
    edits: tuple[Edit, ...] = ()
    targets: tuple[str, ...] = ()
    force: bool = False

    def stage(self, address: str) -> Stage | None:
        """Return the stage of an address, of a group only the one item; nothing for a `.dvc` file."""
        for stage in self.stages:
            if address in stage.addresses:
                return replace(stage, items=tuple(item for item in stage.items if address.endswith(f"@{item}")))
        return None


@dataclass
class RandomProject:
    """A project, and the rounds in which it is run."""

    seed: int
    files: dict[str, str]
    tracked: tuple[str, ...]  # by `dvc add`
    imported: tuple[tuple[str, str], ...]  # by `dvc import-url FROM TO`
    rounds: tuple[Round, ...]


def draw(seed: int) -> RandomProject:
    """Return the project of a seed, always the same."""
    return _Drawing(seed).project()


def declaration(stages: Sequence[Stage], file: str) -> str:
    """Return the text of a dvc.yaml."""
    entries = {stage.name: _entry(stage) for stage in stages if stage.file == file}
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 10_000
    yaml.dump({"stages": entries}, stream)
    return stream.getvalue()


def _entry(stage: Stage) -> dict[str, Any]:
    base = _folder(stage)
    entry: dict[str, Any] = {"cmd": _commands(stage)}
    if stage.wdir:
        entry["wdir"] = relpath(stage.wdir, PurePosixPath(stage.file).parent)
    deps = [_shown(path, base) for path in stage.deps]
    if stage.failure == "misses a dependency":
        deps.append(_shown(_NEVER_MADE, base))
    if deps:
        entry["deps"] = deps
    params: list[Any] = []
    for file, keys in stage.params.items():
        if file == "params.yaml" and base == ".":
            params.extend(keys)
        else:
            params.append({_shown(file, base): list(keys) or None})
    if stage.failure == "misses a parameter":
        params.append({_shown("params.yaml", base): ["never.set"]})
    if params:
        entry["params"] = params
    for section in ("outs", "metrics", "plots"):
        listed = [
            {_shown(out.path, base): dict(out.options)} if out.options else _shown(out.path, base)
            for out in stage.outs
            if out.section == section
        ]
        if listed:
            entry[section] = listed
    if stage.frozen:
        entry["frozen"] = True
    if stage.always_changed:
        entry["always_changed"] = True
    if not stage.over:
        return entry
    return {"foreach": stage.over["foreach"], "do": entry} if "foreach" in stage.over else stage.over | entry


def _commands(stage: Stage) -> str | list[str]:
    name = stage.name + (f"@{stage.item}" if stage.item else "")
    begin = f'echo {name} >> "$LEDGER"'
    printing = "; ".join([*_inputs(stage), f"echo {name} {stage.version}"])
    compute = f"x=$({{ {printing}; }} | cksum | cut -d' ' -f1)"
    writes = [_writing(out, name, _folder(stage)) for out in stage.outs]
    match stage.failure:
        case "exits with 3":
            return f"{begin}; exit 3"
        case "exits after its first out":
            return " && ".join([begin, compute, *writes[:1], "exit 1"])
        case "does not make its last out":
            return " && ".join([begin, compute, *writes[:-1]])
        case "does not exist":
            return "no-such-command --at all"
        case "fails in the first of two commands":
            return [f"{begin}; false", " && ".join([compute, *writes])]
        case "is killed":
            return f"{begin}; kill -9 $$"
    if stage.several:
        return [begin, *(f"{compute} && {write}" for write in writes), "true"]
    return " && ".join([begin, compute, *writes])


def _inputs(stage: Stage) -> Iterator[str]:
    """Yield commands that print everything the stage depends on."""
    base = _folder(stage)
    for path in stage.deps:
        shown = f"'{_shown(path, base)}'"
        if path in stage.folders:
            listing = "find . -type f ! -name .gitignore | LC_ALL=C sort"
            yield f'(cd {shown} && {listing} | while read -r f; do echo "$f"; cat "$f"; done)'
        else:
            yield f"cat {shown}"
    for file, keys in stage.params.items():
        words = " ".join(f"-e {word}" for key in keys for word in _lines_of(key))
        shown = f"'{_shown(file, base)}'"
        yield f"grep -w {words} {shown}" if keys else f"cat {shown}"
    if stage.template:
        yield f"echo {stage.template}"


def _lines_of(key: str) -> list[str]:
    return ["size", "depth"] if key == "model" else [key.rpartition(".")[2]]


def _writing(out: Out, name: str, base: str) -> str:
    path = _shown(out.path, base)
    redirect = ">>" if out.options.get("persist") else ">"
    if out.folder:
        return (
            f"mkdir -p '{path}/deep' && echo \"$x {name}\" {redirect} '{path}/a' "
            f"&& echo \"$x\" {redirect} '{path}/deep/b' && : > '{path}/empty'"
        )
    parent = str(PurePosixPath(path).parent)
    made = "" if parent == "." else f"mkdir -p '{parent}' && "
    if out.section == "metrics":
        text = 'printf \'{"accuracy": %s, "of": {"one": 1}}\' "$x"'
    elif out.section == "plots":
        text = "printf 'step,loss\\n1,%s\\n' \"$x\""
    elif out.text is not None:
        text = f"printf '{out.text}'"
    else:
        text = f'echo "$x {name} {PurePosixPath(out.path).name}"'
    made += f"{text} {redirect} '{path}'"
    return f"{made} && chmod +x '{path}'" if out.executable else made


def _folder(stage: Stage) -> str:
    """Return the folder in which a stage's commands run."""
    return stage.wdir or str(PurePosixPath(stage.file).parent)


def _shown(path: str, base: str) -> str:
    return path if base == "." else relpath(path, base)


class _Drawing:
    """The choices of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.params: dict[str, Any] = {
            "rate": 1, "name": "one", "flag": True, "sizes": ["s", "m"], "model": {"size": 3, "depth": 0.5}
        }  # fmt: skip
        self.more: dict[str, Any] = {"alpha": 1, "beta": [1, 2]}
        self.sources = {f"source-{i}.txt": f"{i}\n" for i in range(3)} | {"data dir/ü.txt": "u\n", "data dir/v/w": ""}
        self.folders = {"data dir"}  # that can be depended on
        self.available = ["source-0.txt", "source-1.txt", "source-2.txt", "data dir"]
        self.stages: list[Stage] = []
        self.by_hand: dict[str, str] = {}
        self.froze = False  # an edit froze a stage

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def project(self) -> RandomProject:
        tracked = self._tracked()
        imported = (("source-0.txt", "imported.txt"),) if self.chance(0.1) else ()
        self.available += [to for _, to in imported]
        count = self.random.choice([3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 12, 14])
        while len([name for stage in self.stages for name in stage.addresses]) < count:
            self.stages.append(self._stage(len(self.stages)))
        files = self._files() | self.by_hand
        before = tuple(self.stages)
        rounds = [Round(before, (), self._targets(), self.chance(0.05))]
        edits = self._edits(complete=not rounds[0].targets)
        rounds.append(Round(tuple(self.stages), edits, self._targets(), self.chance(0.05) and not self.froze))
        if self.chance(0.25):
            self.stages = list(before)
            rounds.append(Round(before, (self._undone(files),), self._targets()))
        return RandomProject(self.seed, files, tracked, imported, tuple(rounds))

    def _files(self) -> dict[str, str]:
        files = dict(self.sources) | self._declarations()
        files |= {"params.yaml": _dump(self.params), "more.yaml": _dump(self.more), "work/.keep": "", "sub/.keep": ""}
        return files

    def _declarations(self) -> dict[str, str]:
        files = {ROOT: declaration(self.stages, ROOT)}
        if any(stage.file == BELOW for stage in self.stages):
            files[BELOW] = declaration(self.stages, BELOW)
        return files

    def _tracked(self) -> tuple[str, ...]:
        tracked = []
        if self.chance(0.3):
            self.sources["added.csv"] = "1,2\n"
            tracked.append("added.csv")
        if self.chance(0.15):
            self.sources |= {"added/x": "x\n", "added/y/z": "z\n"}
            self.folders.add("added")
            tracked.append("added")
        self.available += tracked
        return tuple(tracked)

    # Stages.

    def _stage(self, number: int) -> Stage:
        name = f"s{number}"
        if number and self.chance(0.08):
            return Stage(name, deps=self._deps() if self.chance(0.3) else ())  # only a command
        if self.chance(0.07):
            return self._frozen(name)
        file = BELOW if self.chance(0.15) else ROOT
        wdir = "work" if self.chance(0.15) else ""
        stage = Stage(name, file, wdir)
        if self.chance(0.15):
            stage = replace(stage, **self._group(stage))
        deps = () if self.chance(0.1) else self._deps()
        stage = replace(
            stage,
            deps=deps,
            folders=self.folders.intersection(deps),
            params=self._params() if self.chance(0.4) else {},
            always_changed=self.chance(0.06),
            several=self.chance(0.15),
            template=self.random.choice(["${rate}", "${model.size}", "'${name}'"])
            if file == ROOT and not wdir and self.chance(0.1)
            else stage.template,
        )
        stage = replace(stage, outs=tuple(self._out(stage, i) for i in range(self.random.choice([1, 1, 1, 2, 3]))))
        if self.chance(0.08):
            stage = replace(stage, failure=self.random.choice(FAILURES))
        self._offer(stage)
        return stage

    def _frozen(self, name: str) -> Stage:
        """Draw a stage that never runs: its out is made by hand."""
        out = Out(f"{name}.hand")
        self.by_hand[out.path] = f"{name} by hand\n"
        stage = Stage(name, deps=("source-0.txt",) if self.chance(0.5) else (), outs=(out,), frozen=True)
        self._offer(stage)
        return stage

    def _group(self, stage: Stage) -> dict[str, Any]:
        match self.random.randrange(4):
            case 0:
                return {"over": {"foreach": ["a", "b"]}, "items": ("a", "b")}
            case 1:
                return {"over": {"foreach": {"p": {"v": 1}, "q": {"v": 2}}}, "items": ("p", "q"),
                        "template": "${item.v}"}  # fmt: skip
            case 2 if stage.file == ROOT and not stage.wdir:
                return {"over": {"foreach": "${sizes}"}, "items": ("s", "m")}
            case _:
                return {"over": {"matrix": {"k": ["1", "2"], "l": ["u"]}}, "items": ("1-u", "2-u")}

    def _deps(self) -> tuple[str, ...]:
        count = self.random.choice([1, 1, 2, 2, 3])
        recent, all_of_them = self.available[-6:], self.available
        return tuple(sorted({self.random.choice(recent if self.chance(0.7) else all_of_them) for _ in range(count)}))

    def _params(self) -> dict[str, tuple[str, ...]]:
        params: dict[str, tuple[str, ...]] = {
            "params.yaml": tuple(self.random.sample(["rate", "name", "flag", "sizes"], self.random.choice([1, 1, 2])))
        }
        if self.chance(0.4):
            params["params.yaml"] = (self.random.choice(["model", "model.size", "model.depth"]),)
        if self.chance(0.25):
            params["more.yaml"] = self.random.choice([("alpha",), ("alpha", "beta"), ()])
        return params

    def _out(self, stage: Stage, number: int) -> Out:
        base = _folder(stage)
        item = f"-{stage.item}" if stage.item else ""
        stem = f"{'' if base == '.' else base + '/'}{stage.name}{item}-{number}"
        kind = self.random.random()
        if kind < 0.1:
            return Out(f"{stem}.json", "metrics", {"cache": False} if self.chance(0.6) else {})
        if kind < 0.18:
            return Out(f"{stem}.csv", "plots", {"cache": False} if self.chance(0.4) else {})
        options = {}
        if self.chance(0.08):
            options = {"cache": False}
        elif self.chance(0.06):
            options = {"persist": True}
        elif self.chance(0.03):
            options = {"push": False}
        if kind < 0.35:
            return Out(f"{stem}-dir", options=options, folder=True)
        if self.chance(0.07):
            return Out(f"{stem} with ä.txt", options=options)
        if self.chance(0.07):
            return Out(f"{stem}-in/deeper/out.txt", options=options)
        text = self.random.choice(["", "same\\n"]) if self.chance(0.08) else None
        return Out(f"{stem}.txt", options=options, executable=self.chance(0.04), text=text)

    def _offer(self, stage: Stage) -> None:
        """Let later stages depend on a stage's outs."""
        for path, out in stage.made():
            if out.folder:
                self.folders.add(path)
                self.available.append(f"{path}/a" if self.chance(0.2) else path)
            elif path.endswith("-in/deeper/out.txt") and self.chance(0.5):
                parent = str(PurePosixPath(path).parent)
                self.folders.add(parent)
                self.available.append(parent)
            else:
                self.available.append(path)

    def _targets(self) -> tuple[str, ...]:
        if self.chance(0.75):
            return ()
        choices = [name for stage in self.stages for name in stage.addresses]
        choices += [stage.addresses[0].partition("@")[0] for stage in self.stages if stage.items]
        choices += [file for file in (ROOT, BELOW) if any(stage.file == file for stage in self.stages)]
        return tuple(self.random.sample(choices, min(len(choices), self.random.choice([1, 1, 2]))))

    # Edits.

    def _edits(self, *, complete: bool) -> tuple[Edit, ...]:
        if complete and self.chance(0.1) and not any(stage.failure for stage in self.stages):
            self.froze = True
            return self._freeze(), self._change_source(), self._change_parameter()
        kinds: list[Callable[[], Edit | None]] = [
            self._change_parameter, self._change_parameter, self._change_source, self._change_source,
            self._delete_out, self._delete_out, self._modify_out, self._modify_out, self._forget, self._forget,
            self._lose_lock, self._delete_all_outs, self._delete_all_outs, self._change_command, self._mend_or_break,
            self._remove_stage, self._lose_cache, self._delete_source, self._add_to_folder,
        ]  # fmt: skip
        chosen = self.random.sample(kinds, self.random.choice([0, 1, 1, 1, 2, 2, 3]))
        return tuple(edit for kind in chosen if (edit := kind()) is not None)

    def _undone(self, files: dict[str, str]) -> Edit:
        """Undo what was changed by hand, so that what was made before is restored from the run cache."""
        written = {name: files[name] for name in files if name not in self.by_hand}
        return Edit("all as it was", written, delete=tuple(f"{folder}/new" for folder in ("data dir", "added")))

    def _change_parameter(self) -> Edit:
        key = self.random.choice(["rate", "name", "flag", "sizes", "size", "depth", "alpha", "unused"])
        match key:
            case "alpha":
                self.more["alpha"] = 2
            case "size" | "depth":
                self.params["model"] = self.params["model"] | {key: 9}
            case "flag":
                self.params["flag"] = False
            case "sizes":
                self.params["sizes"] = ["s", "m", "l"]
            case _:
                self.params[key] = "other"
        return Edit(f"parameter {key}", {"params.yaml": _dump(self.params), "more.yaml": _dump(self.more)})

    def _change_source(self) -> Edit:
        path = self.random.choice(sorted(self.sources))
        return Edit(f"source {path}", {path: "changed\n"})

    def _add_to_folder(self) -> Edit:
        folder = self.random.choice(sorted(folder for folder in ("data dir", "added") if folder in self.folders))
        return Edit(f"new file in {folder}", {f"{folder}/new": "new\n"})

    def _delete_source(self) -> Edit | None:
        if not self.chance(0.5):
            return None
        path = self.random.choice(["source-1.txt", "source-2.txt"])
        return Edit(f"deleted {path}", delete=(path,))

    def _ordinary_outs(self) -> list[tuple[str, Out]]:
        return [made for stage in self.stages if not stage.frozen for made in stage.made()]

    def _delete_out(self) -> Edit | None:
        outs = self._ordinary_outs()
        if not outs:
            return None
        path, out = self.random.choice(outs)
        if out.folder and self.chance(0.4):
            path += "/a"
        return Edit(f"deleted out {path}", delete=(path,))

    def _delete_all_outs(self) -> Edit:
        return Edit("deleted all outs", delete=tuple(path for path, _ in self._ordinary_outs()))

    def _modify_out(self) -> Edit | None:
        outs = self._ordinary_outs()
        if not outs:
            return None
        path, out = self.random.choice(outs)
        if out.folder:
            path += self.random.choice(["/a", "/added-by-hand"])
        return Edit(f"wrote into out {path}", {path: "by hand\n"})

    def _forget(self) -> Edit:
        address = self.random.choice([name for stage in self.stages for name in stage.addresses])
        folder = "sub/" if address.startswith("sub/") else ""
        return Edit(f"lock entry of {address}", forget=((f"{folder}dvc.lock", address.rpartition(":")[2]),))

    def _lose_lock(self) -> Edit:
        return Edit("deleted dvc.lock", delete=("dvc.lock", "sub/dvc.lock"))

    def _lose_cache(self) -> Edit | None:
        return Edit("deleted the cache", delete=(".dvc/cache/files",)) if self.chance(0.5) else None

    def _change_command(self) -> Edit:
        return self._replace("command of", self.stages, lambda stage: replace(stage, version=stage.version + 1))

    def _mend_or_break(self) -> Edit | None:
        failing = [stage for stage in self.stages if stage.failure]
        if failing:
            return self._replace("mended", failing, lambda stage: replace(stage, failure=""))
        ordinary = [stage for stage in self.stages if stage.outs and not stage.frozen]
        if not ordinary:
            return None
        return self._replace("broke", ordinary, lambda stage: replace(stage, failure=self.random.choice(FAILURES)))

    def _freeze(self) -> Edit:
        """Freeze or thaw a stage whose outs no other edit touches: what it depends on may well change."""
        return self._replace("froze or thawed", self.stages, lambda stage: replace(stage, frozen=not stage.frozen))

    def _remove_stage(self) -> Edit | None:
        used = {dep for stage in self.stages for dep in stage.deps}
        unused = [stage for stage in self.stages[1:] if not used & {path for path, _ in stage.made()}]
        if not unused:
            return None
        stage = self.random.choice(unused)
        self.stages = [other for other in self.stages if other is not stage]
        return Edit(f"removed {stage.name}", self._declarations())

    def _replace(self, what: str, among: Sequence[Stage], change: Callable[[Stage], Stage]) -> Edit:
        stage = self.random.choice(among)
        self.stages = [change(other) if other is stage else other for other in self.stages]
        return Edit(f"{what} {stage.name}", self._declarations())


def _dump(values: dict[str, Any]) -> str:
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(values, stream)
    return stream.getvalue()
