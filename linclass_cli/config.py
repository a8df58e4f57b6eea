"""The one config object: its sections, and where and with how many threads the work is done."""

# No `from __future__ import annotations`: the settings' types are read from the fields, as types.
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linclass_cli.config_sections import (
    CvConfig,
    DataConfig,
    FeatureConfig,
    ModelConfig,
    SolverConfig,
    SplitConfig,
)
from linclass_cli.sections import Section, Setting, setting

FILE_NAME = "linclass.toml"
PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The presets that come with linclass, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


@dataclass(frozen=True)
class Config(Section):
    """Everything that decides a result, and where and with how many threads it is computed."""

    cache_dir: str = setting(
        "cache",
        "folder of datasets, features and runs",
        min_length=1,
        max_length=4000,
        pattern=r"^[^\x00]+$",
    )
    threads: int = setting(0, "threads; 0: one a core. Results do not depend on it", ge=0, le=1024)
    memory: str = setting(
        "",
        "memory to keep to, as 4G: features beyond it stay on the disk. Results do not depend on it",
        metavar="SIZE",
        max_length=20,
        pattern=r"^([0-9]{1,6}(\.[0-9]{1,3})?[KMGT])?$",
        words="a size as 4G or 500M",
    )
    cluster: str = setting(
        "",
        "work on a Dask cluster, or on N processes here. Results do not depend on it",
        metavar="tcp://HOST:PORT|local:N",
        max_length=400,
        pattern=rf"^(local:[1-9][0-9]{{0,2}}|tcp://[^\s/]+:{_PORT})?$",
        words="an address as tcp://10.0.0.1:8786, or local:4",
    )
    seed: int = setting(0, "seed of splits, starts and orders", ge=0, le=2**63 - 1)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    feature: FeatureConfig = dataclasses.field(default_factory=FeatureConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    solver: SolverConfig = dataclasses.field(default_factory=SolverConfig)
    split: SplitConfig = dataclasses.field(default_factory=SplitConfig)
    cv: CvConfig = dataclasses.field(default_factory=CvConfig)

    @property
    def solver_name(self) -> str:
        """The solver that ``auto`` stands for."""
        if self.solver.name != "auto":
            return self.solver.name
        return {"ridge": "closed", "hinge": "sgd"}.get(self.model.loss, "newton")

    @property
    def cache(self) -> Path:
        return Path(self.cache_dir)

    def choice(self, section: str) -> str | None:
        """The name that decides which settings of a section mean anything."""
        return {"feature": self.feature.name, "solver": self.solver_name}.get(section)

    def record(self) -> dict[str, Any]:
        """What decides the result, as JSON-able values: nothing that has no effect on it."""
        return {
            "seed": self.seed,
            "data": dataclasses.asdict(self.data),
            "feature": {"name": self.feature.name, **self.feature.record()},
            "model": _said(self.model),
            "solver": {"name": self.solver_name, **self.solver.options(self.solver_name)},
            "split": _said(self.split),
            "cv": {**dataclasses.asdict(self.cv), "l2": list(self.cv.l2)},
        }


def _said(section: Section) -> dict[str, Any]:
    """The section's values, without files that are not named."""
    return {name: value for name, value in dataclasses.asdict(section).items() if value != ""}


_SECTIONS: dict[str, type[Section]] = {
    field.name: field.type
    for field in dataclasses.fields(Config)
    if isinstance(field.type, type) and issubclass(field.type, Section)
}


def leaves() -> Iterator[tuple[str, Setting]]:
    """Every setting with its dotted key, in the order of the sections."""
    for one in Config.settings():
        yield one.name, one
    for name, section in _SECTIONS.items():
        for one in section.settings():
            yield f"{name}.{one.name}", one


def config_of(values: Mapping[str, Any]) -> Config:
    """The config in which the dotted keys have these values. Raises ValueError for a wrong one."""
    inner: dict[str, dict[str, Any]] = {"": {}}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        inner.setdefault(section, {})[name] = value
    own = inner.pop("")
    sections: dict[str, Any] = {name: _SECTIONS[name](**given) for name, given in inner.items()}
    return Config(**own, **sections)
