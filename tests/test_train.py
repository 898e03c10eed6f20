"""Training: repeatable, honest about the epoch it keeps, loud about a collapse."""

import math
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FACES, lively, random_faces
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._python_dispatch import TorchDispatchMode

from mien.data.dataset import Dataset, Split
from mien.errors import DataError, ModelError, TrainingError, UsageError
from mien.folders import free_folder
from mien.models.files import read_model, write_model
from mien.models.model import Model, logits, predict_proba
from mien.models.networks import build, pick_device, torch_network
from mien.records.recipe import Recipe
from mien.records.run import read_history
from mien.train import trainer
from mien.train.ema import WeightEMA
from mien.train.initial import initial_network
from mien.train.losses import class_weights
from mien.train.progress import Listener, Progress
from mien.train.recipes import LADDER, RECIPES, find_recipe, with_changes
from mien.train.run import RunConfig, resume_run, train_run
from mien.train.schedule import OneCycle
from mien.train.state import State
from mien.train.trainer import TrainResult, train

CLASSES = ("calm", "cross", "glad")
SHORT = Recipe("short", network="pooled", epochs=2, batch_size=16, rate=5e-3, balance="none")


def run(recipe: Recipe = SHORT, seed: int = 0, listener: Listener | None = None) -> TrainResult:
    return train(recipe, random_faces(96, CLASSES), random_faces(30, CLASSES, 1), seed, "cpu", listener)


def start(tmp_path: Path, recipe: Recipe = SHORT) -> RunConfig:
    nothing = random_faces(0, CLASSES)
    split = Split(random_faces(96, CLASSES), random_faces(30, CLASSES, 1), nothing, "made up")
    return RunConfig(recipe, split, 0, "cpu", str(tmp_path), "mien train")


def same_weights(one: Model, other: Model) -> bool:
    pairs = zip(*(torch_network(model).state_dict().values() for model in (one, other)), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_same_seed_same_weights_bit_for_bit() -> None:
    first, again, other = run(), run(), run(seed=1)
    assert same_weights(first.model, again.model)
    assert not same_weights(first.model, other.model)
    assert [epoch.loss for epoch in first.history] == [epoch.loss for epoch in again.history]


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd", "rate": 0.02},
        {"schedule": "onecycle"},
        {"ema": 0.9},
        {"smoothing": 0.1},
        {"balance": "sqrt"},
        {"adjust": 0.25},
        {"l2": 0.1},
        {"rate": 0.002},
        {"batch_size": 24},
        {"augment": replace(SHORT.augment, rotation=90.0)},
    ],
    ids=str,
)
def test_every_setting_takes_part(change: dict[str, Any]) -> None:
    """A setting that is read nowhere would leave the weights as they are without it."""
    assert not same_weights(run(replace(SHORT, **change)).model, run().model)


class _Reads(TorchDispatchMode):
    """Counts the numbers that Python asks for, each of which a GPU would have to be waited for."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_an_update_asks_the_device_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "fuse", lambda network: None)  # what a CPU alone has
    recipe = replace(find_recipe("tiny"), smoothing=0.1, batch_size=32)
    faces = random_faces(32, CLASSES)
    learner = trainer._Run(recipe, faces, faces, 0, torch.device("cpu"), Listener(), [run().model], None)
    order, generator = learner._draws(1)
    with _Reads() as reads:
        for _ in range(3):
            learner._step(order, generator)
    assert reads.count == 0


def test_a_training_that_diverges_ends_with_a_word(tmp_path: Path) -> None:
    wild = replace(SHORT, optimizer="sgd", rate=1e30)
    with pytest.raises(TrainingError, match=r"in epoch 1 the loss is no number any more: .* smaller --rate than 1e"):
        train_run(start(tmp_path, wild), tmp_path / "run", Listener())
    assert not (tmp_path / "run/model.safetensors").exists()


def test_the_ema_is_that_of_torch() -> None:
    """But for its warm-up, and that without asking the device for a number at each update."""

    def warming(averages: Any, latest: Any, updates: Any) -> None:
        get_ema_multi_avg_fn(min(0.5, (1 + int(updates)) / (10 + int(updates))))(averages, latest, updates)

    network = build("tiny", 3)
    ours, torchs = WeightEMA(network, 0.5), AveragedModel(network, multi_avg_fn=warming, use_buffers=True)
    for _ in range(12):
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.data.add_(1)
        ours.update()
        torchs.update_parameters(network)
    pairs = zip(ours.network.parameters(), torchs.module.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    pairs = zip(ours.network.buffers(), torchs.module.buffers(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs if mine.is_floating_point())


def test_the_ema_soon_forgets_the_random_start() -> None:
    """After one epoch of FER-2013, 449 updates, a millionth of it is left; at the fixed decay it were 41 %."""
    network: Any = torch.nn.Linear(1, 1)
    network.weight.data.fill_(1)
    ema = WeightEMA(network, 0.998)
    ema.update()
    network.weight.data.fill_(0)
    for _ in range(448):
        ema.update()
    assert ema.network.state_dict()["weight"].item() < 1e-6


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_senseless_rate_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="must be a number greater than 0"):
        with_changes(SHORT, rate=value)


def test_it_learns_what_is_easy() -> None:
    result = run(replace(SHORT, epochs=15))
    assert result.best.val_accuracy > 0.9
    assert result.history[-1].loss < result.history[0].loss


def test_the_kept_model_is_that_of_the_lowest_validation_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "has_bfloat16", lambda device: False)  # which validation would be rounded to
    states: list[State] = []
    result = run(replace(SHORT, epochs=5), listener=Listener(on_epoch=states.append))
    assert result.best.val_loss == min(state.last.val_loss for state in states)
    assert same_weights(result.model, states[-1].model)
    val = random_faces(30, CLASSES, 1)
    probabilities = predict_proba(result.model, val.images)
    loss = -np.log(probabilities[np.arange(30), val.labels]).mean()
    assert loss == pytest.approx(result.best.val_loss, abs=1e-4)


def test_golden_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epochs' losses in float32; they move only when what is computed moves."""
    monkeypatch.setattr(trainer, "has_bfloat16", lambda device: False)
    losses = [epoch.loss for epoch in run(replace(SHORT, epochs=3)).history]
    assert losses == pytest.approx(GOLDEN, rel=0.02)


GOLDEN = [0.96079, 0.50444, 0.18991]


def test_a_network_that_says_the_same_for_every_face_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_COLLAPSE_AFTER", 10)
    with pytest.raises(TrainingError, match=r"same answer \('calm'\) for every face.*--balance none"):
        run(replace(SHORT, epochs=9, rate=1e-12))


def test_a_lagging_ema_is_no_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    """An EMA that still is where the network began answers alike for every face; its network does not."""
    monkeypatch.setattr(trainer, "_COLLAPSE_AFTER", 10)
    result = run(replace(SHORT, epochs=6, ema=0.99999))
    assert result.ended == "finished"


def test_ctrl_c_keeps_the_best_model(tmp_path: Path) -> None:
    def interrupt(state: State) -> None:
        if state.last.epoch == 2:
            raise KeyboardInterrupt

    result = train_run(start(tmp_path, replace(SHORT, epochs=9)), tmp_path / "run", Listener(on_epoch=interrupt))
    assert result.ended == "interrupted"
    assert len(read_history(tmp_path / "run")) == 2
    assert same_weights(read_model(tmp_path / "run"), result.model)


def test_ctrl_c_before_there_is_a_model_is_just_that() -> None:
    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(listener=Listener(on_step=interrupt))


def test_training_stops_early_and_halves_the_rate() -> None:
    """On noise without meaning the validation loss soon rises."""
    faces = random_faces(64, CLASSES)
    lost = replace(faces, labels=np.random.default_rng(0).integers(0, 3, 64))
    result = train(replace(SHORT, epochs=40), lost, replace(lost, labels=(lost.labels + 1) % 3), 0, "cpu")
    assert result.ended == "stopped early"
    after = len(result.history) - result.best.epoch
    assert after == 5
    assert result.history[-1].lr == pytest.approx(SHORT.rate / 2)


def test_a_run_folder_holds_config_history_and_model(tmp_path: Path) -> None:
    result = train_run(start(tmp_path), tmp_path / "run", Listener())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.json", "history.csv", "model.safetensors",
    ]  # fmt: skip
    assert read_history(tmp_path / "run") == list(result.history)
    with pytest.raises(TrainingError, match="holds a training run already"):
        train_run(start(tmp_path), tmp_path / "run", Listener())
    assert free_folder(tmp_path / "run") == tmp_path / "run-2"


def test_class_weights_have_mean_one_over_the_faces() -> None:
    counts = np.array([400, 50, 550])
    for balance in ("weights", "sqrt", "none"):
        assert (class_weights(counts, balance) * counts).sum() == pytest.approx(1000)
    assert class_weights(counts, "weights") * counts == pytest.approx([1000 / 3] * 3)


def test_a_class_without_faces_does_no_harm() -> None:
    assert np.isfinite(class_weights(np.array([5, 0]), "weights")).all()


def test_the_last_small_batch_is_trained_on_too() -> None:
    faces: Dataset = random_faces(33, CLASSES)
    seen: list[int] = []
    train(
        replace(SHORT, epochs=1),
        faces,
        faces,
        0,
        "cpu",
        Listener(on_step=lambda p: seen.append(p.samples_seen)),
    )
    assert seen[-1] == 33


def test_the_ladder_changes_one_thing_a_step() -> None:
    for number, (_, change) in enumerate(LADDER, start=1):
        before, after = RECIPES[f"ladder-{number - 1}"], RECIPES[f"ladder-{number}"]
        assert replace(before, name=after.name, **change) == after != before
    assert replace(RECIPES["modern"], name="") == replace(RECIPES[f"ladder-{len(LADDER)}"], name="")


def test_bad_settings_are_named() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'clasic'; there are classic"):
        find_recipe("clasic")
    with pytest.raises(UsageError, match="--epochs 0: must be a number greater than 0"):
        with_changes(SHORT, epochs=0)
    with pytest.raises(UsageError, match="device 'gpu9'"):
        pick_device("gpu9")


def test_uninformed_loss_is_ln_k() -> None:
    result = run(replace(SHORT, epochs=1, rate=1e-12))
    assert result.history[0].val_loss == pytest.approx(math.log(3), abs=1e-3)


def with_shares(faces: Dataset) -> Dataset:
    return replace(faces, shares=np.eye(len(faces.classes), dtype=np.float32)[faces.labels])


def test_unanimous_votes_are_labels() -> None:
    by_label = run()
    voted = train(SHORT, with_shares(random_faces(96, CLASSES)), with_shares(random_faces(30, CLASSES, 1)), 0, "cpu")
    for one, other in zip(by_label.history, voted.history, strict=True):
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-3)


def with_both(faces: Dataset) -> Dataset:
    """Votes that tell the class, and given labels that are all of the class after it."""
    return replace(with_shares(faces), given=(faces.labels + 1) % len(CLASSES))


def both(**kwargs: Any) -> TrainResult:
    faces, val = with_both(random_faces(96, CLASSES)), with_both(random_faces(30, CLASSES, 1))
    return train(replace(SHORT, epochs=8), faces, val, 0, "cpu", **kwargs)


def test_two_heads_learn_labels_and_votes() -> None:
    result, val = both(), with_both(random_faces(30, CLASSES, 1))
    model = result.model
    assert (model.labels, model.sources) == ("votes", ("votes", "fer2013"))
    assert val.given is not None
    for source, labels in (("votes", val.labels), ("fer2013", val.given)):
        answering = model.answering(source)
        assert (predict_proba(answering, val.images).argmax(1) == labels).mean() > 0.9
        shares = np.bincount(labels[:4]) / 4  # of every four faces
        assert answering.prior == pytest.approx(shares)
    assert result.history[-1].val_accuracy > 0.9  # on the votes
    losses = [
        torch.nn.functional.cross_entropy(torch.from_numpy(logits(model.answering(source), val.images)), targets)
        for source, targets in (("votes", torch.from_numpy(val.labels)), ("fer2013", torch.from_numpy(val.given)))
    ]
    assert result.history[-1].val_loss == pytest.approx(float(sum(losses)) / 2, rel=0.05)


def test_two_heads_resume_to_the_bit() -> None:
    states: list[State] = []
    whole = both(listener=Listener(on_epoch=states.append))
    resumed = both(start=states[3])
    assert same_weights(whole.model, resumed.model)
    assert [epoch.loss for epoch in whole.history] == [epoch.loss for epoch in resumed.history]


def test_a_teacher_teaches_the_head_whose_labels_it_knows() -> None:
    faces = with_both(random_faces(96, CLASSES))
    of_votes = replace(run().model, labels="votes")
    learner = trainer._Run(SHORT, faces, faces, 0, torch.device("cpu"), Listener(), [of_votes], None)
    assert [len(objective.teachers) for objective in learner.objectives] == [1, 0]
    with pytest.raises(ModelError, match="does not say which labels it has learned"):
        train(SHORT, faces, faces, 0, "cpu", teachers=[run().model])


def test_the_last_epoch_is_kept_where_the_recipe_says_so() -> None:
    """The validation faces are labelled wrongly, so what is learned counts against each later epoch."""
    faces, val = random_faces(96, CLASSES), random_faces(30, CLASSES, 1)
    val = replace(val, labels=(val.labels + 1) % len(CLASSES))
    last, lowest = (train(replace(SHORT, epochs=6, keep=keep), faces, val, 0, "cpu") for keep in ("last", "lowest"))
    assert last.best is last.history[-1]
    assert lowest.best.epoch < 6
    assert not same_weights(last.model, lowest.model)


def few_and_many() -> Dataset:
    """Faces that tell nothing, three of four of them `glad`."""
    faces = random_faces(96, ("cross", "glad"))
    labels = (np.arange(96) % 4 > 0).astype(np.int64)
    return replace(faces, images=np.full_like(faces.images, 90), labels=labels)


@pytest.mark.parametrize(("adjust", "odds"), [(0.0, 3.0), (0.5, 3**0.5), (1.0, 1.0)])
def test_adjusted_answers_owe_less_to_the_frequency(adjust: float, odds: float) -> None:
    recipe = replace(SHORT, epochs=40, schedule="onecycle", adjust=adjust, keep="last")
    faces = few_and_many()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer._Run, "_collapsed", lambda run: False)  # so it should be here
        model = train(recipe, faces, faces, 0, "cpu").model
    rare, common = predict_proba(model, faces.images[:1])[0]
    assert common / rare == pytest.approx(odds, rel=0.15)
    assert model.prior[1] / model.prior[0] == pytest.approx(3 ** (1 - adjust))
    assert predict_proba(model, faces.images[:1], prior="uniform")[0] == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_class_without_faces_leaves_the_loss_a_number() -> None:
    faces = replace(random_faces(96, CLASSES), classes=(*CLASSES, "nowhere"))
    shares = np.eye(4, dtype=np.float32)[faces.labels]
    result = train(replace(SHORT, adjust=0.25), replace(faces, shares=shares), faces, 0, "cpu")
    assert math.isfinite(result.best.loss)


def test_a_teacher_is_learned_from() -> None:
    """With labels that say nothing, only the teacher can tell the faces apart."""
    faces, val = random_faces(96, CLASSES), random_faces(30, CLASSES, 1)
    teacher = train(replace(SHORT, epochs=8), faces, val, 0, "cpu").model
    other = train(replace(SHORT, epochs=8), faces, val, 2, "cpu").model
    shuffled = replace(faces, labels=np.random.default_rng(0).permutation(faces.labels))
    alone, taught, by_two = (
        train(replace(SHORT, epochs=8), shuffled, val, 1, "cpu", teachers=who).best.val_loss
        for who in ((), (teacher,), (teacher, other))
    )
    assert taught < alone - 0.1
    assert by_two < alone - 0.1


def test_a_teacher_of_other_classes_is_refused() -> None:
    faces = random_faces(96, CLASSES)
    teacher = run().model
    other = replace(faces, classes=("a", "b", "c"))
    with pytest.raises(ModelError, match="a teacher names calm, cross, glad, but the training data holds a, b, c; use"):
        train(SHORT, other, other, 0, "cpu", teachers=[teacher])


def test_what_is_learned_is_half_the_mean_of_the_teachers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each teacher's answer is that of its file, whatever the student's recipe; one comes from .onnx."""
    monkeypatch.setattr(trainer, "has_bfloat16", lambda device: False)
    faces = random_faces(96, CLASSES)
    faces = replace(faces, images=faces.images.repeat(2, 1).repeat(2, 2))  # 48 x 48, as .onnx takes them
    teachers = [replace(run(replace(SHORT, epochs=5), seed).model, temperature=seed + 1.0) for seed in (0, 1)]
    write_model(teachers[1], tmp_path / "teacher.onnx")
    teachers[1] = read_model(tmp_path / "teacher.onnx")
    learner = trainer._Run(
        replace(SHORT, adjust=0.25), faces, faces, 0, torch.device("cpu"), Listener(), teachers, None
    )
    seen = torch.from_numpy(faces.images)[:, None].float() / 255
    even = torch.zeros(96, 3) - learner.objectives[0].log_prior  # whose loss is ln 3, whatever is learned
    leaning = torch.tensor([0.0, 1.0, 2.0]) - learner.objectives[0].log_prior
    answers = np.mean([predict_proba(teacher, faces.images) for teacher in teachers], 0)
    targets = torch.from_numpy((np.eye(3)[faces.labels] + answers) / 2).float()
    for answered, plain in ((even, torch.zeros(3)), (leaning, torch.tensor([0.0, 1.0, 2.0]))):
        losses = learner.objectives[0].losses(answered.expand(96, 3), learner.labels[0], seen, nullcontext())
        expected = torch.nn.functional.cross_entropy(plain.expand(96, 3), targets, reduction="none")
        np.testing.assert_allclose(losses, expected, atol=1e-4)


def test_a_teacher_stays_as_it_was() -> None:
    teacher = run(replace(SHORT, epochs=5)).model
    faces = random_faces(96, CLASSES)
    before = predict_proba(teacher, faces.images)
    train(SHORT, faces, faces, 0, "cpu", teachers=[teacher])
    assert np.array_equal(predict_proba(teacher, faces.images), before)


def test_training_faces_of_one_class_are_refused(tmp_path: Path) -> None:
    begun = start(tmp_path)
    same = replace(begun.split.train, labels=np.ones_like(begun.split.train.labels))
    with pytest.raises(DataError, match="all training faces are 'cross'; give some of at least two classes"):
        train_run(replace(begun, split=replace(begun.split, train=same)), tmp_path / "run", Listener())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", ["teacher", "init"])
def test_models_that_do_not_fit_leave_no_run_behind(wrong: str, tmp_path: Path) -> None:
    model, out = tmp_path / "model.safetensors", tmp_path / "run"
    write_model(run(replace(SHORT, network="deep")).model, model)
    begun = replace(start(tmp_path), init=model)
    if wrong == "teacher":
        other = replace(begun.split.train, classes=("a", "b", "c"))
        split = replace(begun.split, train=other, val=replace(begun.split.val, classes=other.classes))
        begun = replace(begun, init=None, teachers=(model,), split=split)
    with pytest.raises(ModelError):
        train_run(begun, out, Listener())
    assert not out.exists()


def test_a_run_goes_on_with_its_teachers_and_needs_no_init(tmp_path: Path) -> None:
    models = tuple(tmp_path / f"{seed}.safetensors" for seed in range(3))
    for seed, path in enumerate(models):
        write_model(run(seed=seed).model, path)
    begun = replace(start(tmp_path, replace(SHORT, epochs=4)), teachers=models[:2], init=models[2])
    whole = train_run(begun, tmp_path / "whole", Listener()).model

    def stop(state: State) -> None:
        if state.last.epoch == 2:
            raise KeyboardInterrupt

    train_run(begun, tmp_path / "halves", Listener(on_epoch=stop))
    models[2].unlink()
    models[1].rename(tmp_path / "away")
    with pytest.raises(DataError, match="started with a model that is not there"):
        resume_run(begun, tmp_path / "halves", Listener())
    write_model(run(seed=5).model, models[1])
    with pytest.raises(DataError, match=r"1.safetensors: not the model that this run was started with"):
        resume_run(begun, tmp_path / "halves", Listener())
    (tmp_path / "away").replace(models[1])
    rest = resume_run(begun, tmp_path / "halves", Listener()).model
    assert same_weights(rest, whole)
    assert rest.notes["teachers"].count(".safetensors (") == 2
    assert rest.notes["initial weights"].startswith("2.safetensors (")


def test_training_begins_with_the_weights_of_init() -> None:
    faces, val = random_faces(96, CLASSES), random_faces(30, CLASSES, 1)
    before = train(replace(SHORT, epochs=8), faces, val, 0, "cpu").model
    learner = trainer._Run(SHORT, faces, val, 1, torch.device("cpu"), Listener(), (), before)
    assert same_weights(learner._snapshot(), before), "running statistics too"


def test_init_of_other_classes_gives_all_but_the_last_layer() -> None:
    faces = replace(random_faces(96, CLASSES), classes=("a", "b", "c"))
    before = run().model
    after = train(replace(SHORT, epochs=1, rate=1e-12), faces, faces, 1, "cpu", init=before).model
    theirs, ours = (dict(torch_network(model).named_parameters()) for model in (before, after))
    assert torch.allclose(ours["blocks.0.0.weight"], theirs["blocks.0.0.weight"])
    assert ours["head.weight"].abs().max() < 1e-6


def test_init_of_another_network_is_refused() -> None:
    faces = random_faces(96, CLASSES)
    with pytest.raises(ModelError, match="--init is a network 'pooled', but the recipe trains 'classic'; give a model"):
        train(replace(SHORT, network="classic"), faces, faces, 0, "cpu", init=run().model)


# --- sizes, listeners, fine-tuning


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("base")])
def test_every_recipe_takes_any_number_of_faces_and_epochs(name: str) -> None:
    recipe, init = find_recipe(name), None
    if not recipe.network:
        init = Model(build("pooled", 3).eval(), "pooled", CLASSES)
    for faces, batch_size, epochs in ((1, 64, 1), (3, 1, 1), (4, 2, 2), (5, 4, 1), (7, 2, 1)):
        short = replace(recipe, batch_size=batch_size, epochs=epochs)
        data = random_faces(faces, CLASSES)
        data = replace(data, images=data.images.repeat(2, 1).repeat(2, 2))
        result = train(short, data, data, 0, "cpu", init=init)
        assert len(result.history) == epochs
        assert math.isfinite(result.best.val_loss)


@pytest.mark.filterwarnings("ignore:Detected call of")
@given(epochs=st.integers(1, 40), steps=st.integers(1, 500))
def test_one_cycle_is_that_of_torch(epochs: int, steps: int) -> None:
    """And where torch divides by zero, with few updates, rates that are not above the peak all the same."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer, other = torch.optim.SGD([weight], 0.1), torch.optim.SGD([weight], 0.1)
    ours = OneCycle(optimizer, 0.1, epochs * steps)
    rates = [ours.rate(step) for step in range(epochs * steps)]
    assert all(0 < rate <= 0.1 for rate in rates)
    if epochs * steps > 3:
        total = epochs * steps + 1
        torchs = OneCycleLR(other, 0.1, total_steps=total, pct_start=0.25, cycle_momentum=False, final_div_factor=1e3)
        for rate in rates[: 3 * steps]:
            assert rate == other.param_groups[0]["lr"]
            torchs.step()


@pytest.mark.parametrize("part", ["training", "validation"])
def test_without_faces_there_is_no_training(part: str) -> None:
    faces, none = random_faces(9, CLASSES), random_faces(0, CLASSES)
    parts = (none, faces) if part == "training" else (faces, none)
    with pytest.raises(DataError, match=f"there are no {part} faces"):
        train(SHORT, *parts, 0, "cpu")


def test_a_listener_that_overrides_is_called() -> None:
    class Counting(Listener):
        epochs = steps = 0

        def on_epoch(self, state: State) -> None:
            self.epochs += 1

        def on_step(self, progress: Progress) -> None:
            self.steps += 1

    counting = Counting()
    run(listener=counting)
    assert counting.epochs == SHORT.epochs
    assert counting.steps >= SHORT.epochs


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    run()
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if "epoch  2/2  loss " in line]
    assert (len(lines), bool(captured.err)) == ((1, True) if terminal else (0, False))


def test_frozen_blocks_stay_as_they_begin() -> None:
    before = run().model
    recipe = replace(SHORT, freeze=2, ema=0.9)
    model = train(recipe, random_faces(96, CLASSES), random_faces(30, CLASSES, 1), 1, "cpu", init=before).model
    ours, theirs = (torch_network(m).state_dict() for m in (model, before))
    changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert not {name for name in changed if name.startswith(("blocks.0.", "blocks.1."))}
    assert {"blocks.2.0.weight", "blocks.2.1.running_mean", "head.weight"} <= changed
    with pytest.raises(UsageError, match="--freeze 4: the network has 3 blocks"):
        run(replace(SHORT, freeze=4))


@pytest.mark.parametrize("name", ["tiny", "float32"])
def test_an_onnx_model_trains_further(name: str, tmp_path: Path) -> None:
    """Without a learning rate to speak of it answers as before, though each batch norm now follows its faces."""
    if name == "float32":
        write_model(lively(architecture="tiny"), tmp_path / "m.onnx")
    init = read_model(name if name == "tiny" else tmp_path / "m.onnx")
    faces = replace(random_faces(len(FACES), init.classes), images=FACES)
    recipe = replace(find_recipe("finetune"), epochs=1, rate=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.train.initial.unfold_norms", lambda network, faces: None)
        plain = initial_network("tiny", init.classes, init, torch.zeros(0))
    learner = trainer._Run(replace(recipe, network="tiny"), faces, faces, 0, torch.device("cpu"), Listener(), (), init)
    before = logits(init, FACES)
    after = logits(Model(learner.network, "tiny", init.classes), FACES)
    np.testing.assert_allclose(logits(Model(plain, "tiny", init.classes), FACES), after, atol=1e-3)
    np.testing.assert_allclose(after, before, atol=1e-3 if name == "float32" else 1)
    assert learner.network.state_dict()["blocks.1.1.running_mean"].abs().max() > 0.01
    other = replace(faces, classes=tuple("abcdefg"))
    assert train(recipe, other, other, 0, "cpu", init=init).model.architecture == "tiny"


def test_finetuning_begins_with_a_model() -> None:
    faces = random_faces(9, CLASSES)
    with pytest.raises(UsageError, match="this recipe trains a model further; give --init"):
        train(find_recipe("finetune"), faces, faces, 0, "cpu")
