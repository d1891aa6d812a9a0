"""Tests of recipes: the built-in ones, and messages about invalid files."""

from pathlib import Path

import pytest

from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError, VortexError
from vortex_hep.nn.loop import recipes
from vortex_hep.nn.loop.recipes import load_recipe, recipe_names
from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.estimate import parameter_count

MINIMAL = """\
hardware: an abacus
memory_gb: 1
batch: 2
lane_tokens: 64
rate: 1.0e-3
warmup: 5
steps: 10
"""


def write(folder, text):
    path = folder / "own.yaml"
    path.write_text(text)
    return path


def test_every_file_has_its_name():
    files = {path.stem for path in (Path(recipes.__file__).parent / "configs").iterdir()}
    assert files == set(recipe_names())
    assert [load_recipe(name).name for name in recipe_names()] == recipe_names()


def test_built_in_recipes_grow_and_fit_their_hardware():
    found = [load_recipe(name) for name in recipe_names()]
    counts = [parameter_count(recipe.transformer) for recipe in found]
    assert counts == sorted(counts)
    for recipe in found:
        # What the estimate leaves out needs room as well.
        assert recipe.memory_estimate()["total"] < 0.75 * recipe.memory_gb, recipe.name
        config = recipe.transformer
        assert recipe.device == "cpu" or config.head_dim == 64
        # These have a form in integers.
        assert (config.norm, config.feed_forward, config.eviction) == ("rms", "swiglu", "lte")


def test_the_default_recipe():
    recipe = load_recipe("default")
    assert recipe.transformer == TransformerConfig(
        d_model=512, n_layers=8, n_heads=8, d_ff=2048, window=512, compression_rate=4,
        dropout=0.1, chunk_sizes=(128, 256, 512),
    )  # fmt: skip
    options = recipe.loop_options(seed=4, steps=7)
    assert (options.rate, options.warmup, options.steps, options.seed) == (3e-4, 4000, 7, 4)
    assert (options.eval_every, options.patience) == (recipe.eval_every, recipe.patience)


def test_a_short_file_gets_defaults(tmp_path):
    path = write(tmp_path, MINIMAL)
    recipe = load_recipe(path)
    assert recipe == load_recipe(str(path))
    assert (recipe.name, recipe.transformer, recipe.seconds) == ("own", TransformerConfig(), None)
    other = load_recipe(write(tmp_path, MINIMAL + "transformer: {d_model: 64, chunk_sizes: [8]}"))
    assert (other.transformer.d_model, other.transformer.chunk_sizes) == (64, (8,))


def test_precision_decides_what_activations_take(tmp_path):
    small = "transformer: {d_model: 16}\n"
    totals = [
        load_recipe(write(tmp_path, MINIMAL + small + extra)).memory_estimate()["activations"]
        for extra in ("", "precision: float16", "device: cpu", "precision: float32")
    ]
    assert totals[0] == totals[1] < totals[3] < totals[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", "unknown key 'stepz'.*did you mean 'steps'"),
        ("name: x", "unknown key 'name'.*named by its file"),
        ("1: x", "unknown key 1"),
        ("transformer: {d_modle: 3}", "transformer: unknown key 'd_modle'.*did you mean 'd_model'"),
        ("transformer: large", "transformer must hold keys, not 'large'"),
        ("transformer: {d_model: 30}", "multiple of n_heads"),
        ("transformer: {n_layers: 1.5}", "n_layers must be a whole number, not 1.5"),
        ("seconds: 1e3", "seconds must be a number or null, not '1e3'.*1.0e-3"),
        ("seconds: .nan", "seconds must be finite"),
        ("seconds: 0", "seconds must be finite and above 0"),
        ("eval_every: true", "eval_every must be a whole number, not True"),
        ("checkpointing: 1", "checkpointing must be true or false, not 1"),
        ("compile: 'yes'", "compile must be true, false or null"),
        ("precision: double", "precision must be one of auto"),
        ("device: tpu", "device must be one of cuda, cpu"),
        ("patience: 0", "patience must be at least 1"),
        ("weight_decay: -1", "weight_decay must be finite and at least 0"),
        ("batch: 3", "'batch' comes twice, again in line 8"),
        ("transformer:\n  d_ff: 1\n  d_ff: 2", "'d_ff' comes twice, again in line 10"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, text, message):
    path = write(tmp_path, MINIMAL + text)
    with pytest.raises(UnsupportedTypeError, match=message) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_keys_are_named(tmp_path):
    with pytest.raises(UnsupportedTypeError, match="batch, hardware, lane_tokens"):
        load_recipe(write(tmp_path, "memory_gb: 3"))
    with pytest.raises(UnsupportedTypeError, match="must hold keys and values"):
        load_recipe(write(tmp_path, "- 3"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.yaml: no such file"):
        load_recipe(tmp_path / "gone.yaml")
    with pytest.raises(SourceError, match="cannot be read"):
        load_recipe(tmp_path)
    with pytest.raises(SourceError, match=r"own\.yaml: not YAML: .*line 2"):
        load_recipe(write(tmp_path, "a: 1\nb: [2"))
    path = tmp_path / "own.yaml"
    path.write_bytes(b"hardware: \xff\n")
    with pytest.raises(SourceError, match="cannot be read"):
        load_recipe(path)


def test_unknown_names_get_near_misses():
    with pytest.raises(NotFoundError, match=r"did you mean 'laptop_cpu'.*are laptop_cpu"):
        load_recipe("laptop")
    with pytest.raises(SourceError, match="no such file"):
        load_recipe("laptop_cpu.yaml")
    assert issubclass(NotFoundError, VortexError)
