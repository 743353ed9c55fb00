import pytest

from contract.errors import ConfigurationError
from model.recipes.recipe import Optimizer, Stage, known_recipes, load_recipe, plan

SMALLEST = """
input_size = [64, 96]
[[stages]]
crop = 64
epochs = 2
batch = 4
"""


@pytest.fixture
def recipe_file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", known_recipes())
def test_every_recipe_that_ships_can_be_read(name):
    assert load_recipe(name).name == name


def test_every_recipe_begins_with_what_to_expect_and_what_it_costs():
    from model.recipes.recipe import RECIPES

    for path in RECIPES.glob("*.toml"):
        comment = path.read_text().split("\n\n")[0]
        head = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
        assert comment.startswith("#"), path
        assert "Expect" in head, path
        assert "Hardware and hours" in head, path


def test_the_published_recipe_has_the_published_numbers():
    recipe = load_recipe("cityscapes")

    first, second = recipe.stages
    assert (first.crop, first.epochs, first.batch, first.freeze_batch_norm) == (512, 200, 12, False)
    assert (second.crop, second.epochs, second.batch) == (1024, 50, 2)
    assert second.freeze_batch_norm
    assert first.learning_rate == second.learning_rate == 5e-4
    assert (recipe.optimizer.weight_decay, recipe.optimizer.decay_power) == (1e-4, 0.9)
    assert recipe.optimizer.decay_by == "epoch"
    assert (recipe.loss.instance, recipe.loss.variance, recipe.loss.seed) == (1, 10, 1)
    assert recipe.n_sigma == 2
    assert len(recipe.classes) == 8


def test_a_recipe_of_ones_own_is_named_after_its_file(recipe_file):
    recipe = load_recipe(recipe_file(SMALLEST))

    assert recipe.name == "mine"
    assert recipe.sources[0].path == "."


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'nope', expected one of .*cityscapes"):
        load_recipe("nope")


def test_all_faults_of_a_recipe_are_listed_at_once(recipe_file):
    text = SMALLEST.replace("crop = 64", "crop = 60").replace("epochs = 2", "epochs = 0")
    path = recipe_file(text + "colour = 1\n[augment]\nscale = [2.0, 1.0]\n")

    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path)

    text = "\n".join(caught.value.faults)
    assert "stages.0.crop is 60" in text
    assert "stages.0.epochs is 0" in text
    assert "stages.0.colour" in text
    assert "expected 0 < smallest <= largest" in text


def test_a_file_that_is_no_toml_says_where(recipe_file):
    with pytest.raises(ConfigurationError, match=r"mine\.toml: not a TOML file.*line 1"):
        load_recipe(recipe_file("stages = crops\n"))


def test_stages_lie_one_after_the_other_and_leave_a_small_rest_out():
    phases = plan([Stage(crop=64, epochs=3, batch=4), Stage(crop=128, epochs=2, batch=2)], 10)

    assert [phase.steps_per_epoch for phase in phases] == [2, 5]
    assert [phase.first_step for phase in phases] == [0, 6]
    assert [phase.first_epoch for phase in phases] == [0, 3]
    assert phases[-1].end == 16


def test_the_learning_rate_decays_per_epoch_as_published():
    (phase,) = plan([Stage(crop=64, epochs=4, batch=5, learning_rate=1.0)], 10)
    optimizer = Optimizer()

    rates = [phase.learning_rate(step, optimizer) for step in range(8)]

    assert rates[0] == rates[1] == 1.0
    assert rates[2] == rates[3] == pytest.approx(0.75**0.9)
    assert rates[7] == pytest.approx(0.25**0.9)


def test_the_learning_rate_may_decay_per_step():
    (phase,) = plan([Stage(crop=64, epochs=4, batch=5, learning_rate=1.0)], 10)

    rate = phase.learning_rate(3, Optimizer(decay_by="step"))

    assert rate == pytest.approx((1 - 3 / 8) ** 0.9)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[augment]\nlight = { gain = [0, 0] }", "0 < smallest <= largest"),
        ("[augment]\nlight = { jpeg = [90, 40] }", "0 < smallest <= largest"),
        ("[loss]\nforeground = -3", "greater than or equal to 0"),
        ("[[sources]]\nscale = [2, 1]", "0 < smallest <= largest"),
        ("[[sources]]\nweight = 1e308", "less than or equal to 1000000"),
        ("[[sources]]\nweight = inf", "sources.0.weight is inf: .* finite"),
        ("[[sources]]\nclasses = { cat = '' }", "sources.0.classes.cat is '': .* name of a class"),
        ("[loss]\nforeground = nan", "finite"),
        ("[augment]\nscale = [1, inf]", "augment.scale.1 is inf: .* finite"),
        ("[augment]\ncopy_paste = { classes = { cat = inf } }", "cat is inf: .* finite"),
    ],
)
def test_values_that_could_only_fail_later_are_refused(recipe_file, table, said):
    with pytest.raises(ConfigurationError, match=said):
        load_recipe(recipe_file(f"{SMALLEST}\n{table}\n"))


def test_a_class_has_one_label(recipe_file):
    with pytest.raises(ConfigurationError, match="each name once"):
        load_recipe(recipe_file('classes = ["a", "a"]\n' + SMALLEST))


@pytest.mark.parametrize("name", ["", " "])
def test_a_class_has_a_name(recipe_file, name):
    with pytest.raises(
        ConfigurationError, match=r"classes\.1 is .*: .*expected the name of a class"
    ):
        load_recipe(recipe_file(f'classes = ["a", "{name}"]\n' + SMALLEST))


def test_a_learning_rate_is_finite(recipe_file):
    text = SMALLEST + "learning_rate = inf\n"

    with pytest.raises(ConfigurationError, match=r"stages\.0\.learning_rate is inf: .*finite"):
        load_recipe(recipe_file(text))


def test_a_recipe_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text(SMALLEST)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(path), "read_text", refuse)
    with pytest.raises(ConfigurationError, match=r"mine\.toml: cannot be read: Permission denied"):
        load_recipe(str(path))


def test_a_name_that_no_file_can_have_is_no_recipe():
    with pytest.raises(ConfigurationError, match=r"cannot be read: File name too long"):
        load_recipe("a" * 300)
