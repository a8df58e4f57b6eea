"""The models, and how the sources resolve into one config."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest

from linclass_cli.config import Config, leaves
from linclass_cli.config_sections import FeatureConfig, SolverConfig, parse_strengths
from linclass_cli.digest import canonical_json, digest
from linclass_cli.errors import MissingError, SettingsError
from linclass_cli.features import FEATURES
from linclass_cli.settings import commented_toml, env_name, resolve


def settle(flags=None, **sources):
    flags = {key: (f"--{key.rpartition('.')[2]}", value) for key, value in (flags or {}).items()}
    sources.setdefault("environment", {})
    return resolve(flags, **sources)


@pytest.fixture
def toml(tmp_path):
    def write(text: str):
        (tmp_path / "linclass.toml").write_text(text)
        return tmp_path

    return write


def test_each_source_overrules_the_one_before(toml):
    folder = toml("seed = 2\n[solver]\nlearning_rate = 0.2\nepochs = 22\n[model]\nl2 = 0.2\n")
    got = settle(
        {"model.l2": 0.4},
        preset="course",
        folder=folder,
        environment={"LINCLASS_SOLVER_EPOCHS": "3", "LINCLASS_MODEL_L2": "0.3", "HOME": "/"},
    )
    c = got.config
    assert (c.solver.batch_size, c.solver.learning_rate, c.solver.epochs, c.model.l2) == (100, 0.2, 3, 0.4)
    assert got.sources["solver.batch_size"] == "preset course"
    assert got.sources["solver.learning_rate"] == "linclass.toml"
    assert got.sources["solver.epochs"] == "environment LINCLASS_SOLVER_EPOCHS"
    assert got.sources["model.l2"] == "--l2"
    assert got.sources["cv.folds"] == "default"


def test_every_key_can_come_from_the_environment():
    names = [env_name(key) for key, _ in leaves()]
    assert len(set(names)) == len(names)
    texts = {
        "LINCLASS_CV_L2": "1e-3:1:4",
        "LINCLASS_FEATURE_TRANSFORM_SQRT": "true",
        "LINCLASS_CV__FOLDS": "7",
    }
    c = settle(environment=texts).config
    assert c.cv.l2 == pytest.approx((1e-3, 1e-2, 1e-1, 1))
    assert c.feature.transform_sqrt is True
    assert c.cv.folds == 7


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("cv.folds", 1, ">= 2"),
        ("model.l2", -0.1, ">= 0"),
        ("model.l2", float("nan"), "a finite number"),
        ("model.loss", "sofmax", "did you mean softmax"),
        ("split.val_fraction", 1.0, "< 1"),
        ("solver.momentum", 1.0, "< 1"),
        ("cv.l2", "1:2", "LOW:HIGH:COUNT"),
        ("cv.l2", "-1,2", "LOW:HIGH:COUNT"),
        ("seed", True, "a whole number"),
        ("feature.block_norm", "L3", "L1-sqrt"),
        ("feature.directions", 17, "allowed is an even whole number >= 2 and <= 72"),
        ("feature.pair_directions", 38, "allowed is an even whole number >= 2 and <= 36"),
        ("feature.cells", "x", "allowed is up to 8 whole numbers with commas, as 8,4"),
        ("feature.cells", "8,", "with commas, as 8,4"),
        ("feature.cells", 8, "with commas, as 8,4"),
        ("feature.distances", "1.5", "with commas, as 8,4"),
        ("feature.colour_cells", "", "with commas, as 8,4"),
        ("feature.augment", "up", "allowed is none, flip"),
        ("feature.name", "hog+hog", "or several joined by +, each once"),
        ("model.part_weights", "1;2", "allowed is numbers above 0 with commas, as 1,0.3"),
    ],
)
def test_an_impossible_value_names_key_value_source_and_what_is_allowed(key, value, allowed):
    with pytest.raises(SettingsError) as caught:
        settle({key: value})
    text = str(caught.value)
    assert key in text
    assert f"--{key.rpartition('.')[2]}" in text
    assert allowed in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[cv]\nfolds = '5'", r'cv.folds = "5" \(from linclass.toml\): allowed is a whole number'),
        ("[solver]\nmomentun = 0.5", "unknown key solver.momentun .*did you mean solver.momentum"),
        ("[sovler]\nepochs = 3", "unknown key sovler"),
        ("cv = 3", "allowed is a table"),
        ("seed = [", "not valid TOML"),
        ("seed = 1\nseed = 2", "not valid TOML"),
        ("seed = " + "9" * 5000, "not valid TOML"),
        ('cache_dir = "a\\u0000b"', "cache_dir"),
        ("[solver]\nname='lbfgs'\nepochs = 4", "lbfgs has no epochs"),
    ],
)
def test_a_bad_file_is_a_clear_error(toml, text, match):
    with pytest.raises(SettingsError, match=match):
        settle(folder=toml(text))


def test_an_unknown_environment_key_is_an_error():
    with pytest.raises(SettingsError, match="unknown key LINCLASS_SEEED .*did you mean LINCLASS_SEED"):
        settle(environment={"LINCLASS_SEEED": "1"})


def test_missing_presets_and_files_are_named(tmp_path):
    with pytest.raises(MissingError, match="did you mean course"):
        settle(preset="corse")
    with pytest.raises(MissingError, match=r"no config file .*x\.toml"):
        settle(file=tmp_path / "x.toml")


def test_a_learning_rate_for_a_solver_that_has_none():
    with pytest.raises(SettingsError, match="lbfgs has no learning_rate; it belongs to solver sgd"):
        settle({"solver.name": "lbfgs", "solver.learning_rate": 0.1})
    with pytest.raises(SettingsError, match="what auto chooses here"):
        settle({"solver.learning_rate": 0.1})
    assert settle({"solver.learning_rate": 0.1, "model.loss": "hinge"}).config.solver_name == "sgd"
    with pytest.raises(SettingsError, match="feature.bins = 4 .*hog has no bins"):
        settle({"feature.bins": 4})


def test_a_choice_drops_what_a_preset_says_of_another():
    got = settle({"solver.name": "lbfgs"}, preset="course")
    assert got.config.solver_name == "lbfgs"
    assert got.sources["solver.learning_rate"] == "default"
    # The user's own words are never dropped in silence.
    with pytest.raises(SettingsError, match="lbfgs has no learning_rate"):
        settle({"solver.name": "lbfgs"}, environment={"LINCLASS_SOLVER_LEARNING_RATE": "0.1"})


def test_solvers_that_cannot_solve_a_loss():
    with pytest.raises(SettingsError, match="not for the loss hinge; allowed for it: auto, smoothed, sgd"):
        settle({"solver.name": "lbfgs", "model.loss": "hinge"})
    with pytest.raises(SettingsError, match="not for the loss softmax"):
        settle({"solver.name": "closed"})


def test_the_config_is_frozen_and_strict():
    c = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        c.seed = 3
    for wrong in ({"epochs": "3"}, {"epochs": 0}, {"gap": float("inf")}, {"name": "lbgfs"}):
        with pytest.raises(ValueError):
            SolverConfig(**wrong)
    with pytest.raises(TypeError):
        Config(sede=3)


def test_the_defaults_are_within_their_own_ranges():
    for _, one in leaves():
        assert one.check(one.default) == one.default


def test_strengths():
    assert parse_strengths("1e-5:1:6") == (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    assert parse_strengths("3,1,2,2") == (1, 2, 3)
    assert parse_strengths(0.5) == (0.5,)
    assert parse_strengths([1, 0.1]) == (0.1, 1)
    for bad in ("1:2", "0:1:5", "2:1:5", "1:2:1", "a,b", "1:inf:3", True, ["1"]):
        with pytest.raises(ValueError):
            parse_strengths(bad)


def test_the_record_holds_what_decides_the_result_and_nothing_else():
    one = settle({"threads": 1, "cache_dir": "x"}).config.record()
    two = settle({"threads": 2, "solver.name": "newton"}).config.record()
    assert one == two
    assert "learning_rate" not in one["solver"]
    assert digest(one) == digest(two) != digest(settle({"seed": 1}).config.record())


def test_canonical_json_is_one_text_for_equal_values():
    assert canonical_json({"b": 1, "a": [1.5, "ü"]}) == '{"a":[1.5,"\\u00fc"],"b":1}'
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_config_init_lists_every_key_with_its_default(tmp_path):
    text = commented_toml()
    assert settle(folder=tmp_path).config == Config()
    lively = "\n".join(
        line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in text.split("\n")
    )
    found = tomllib.loads(lively)
    for key, one in leaves():
        section, _, name = key.rpartition(".")
        value = (found[section] if section else found)[name]
        assert value == (list(one.default) if isinstance(one.default, tuple) else one.default)
    assert tomllib.loads(text) == {
        section: {} for section in ("data", "feature", "model", "solver", "split", "cv")
    }


def test_features_and_their_settings_are_those_of_the_registry():
    for name, extractor in FEATURES.items():
        belonging = {one.name for one in FeatureConfig.settings() if name in one.only_for}
        params = {one.name: one.default for one in dataclasses.fields(extractor) if one.compare}
        # Whatever images give can be of an image and its mirror image.
        more = {} if name == "vectors" else {"augment": "none"}
        assert belonging == {*params, *more}
        assert Config().feature.options(name) == {**params, **more}
