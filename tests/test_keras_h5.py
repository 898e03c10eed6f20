"""Keras files: the same function on both sides, and nothing but that is let in."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FACES, lively, spreading

from mien.emotions import EMOTIONS
from mien.errors import ModelError, UsageError
from mien.models.files import read_model, write_model
from mien.models.model import Model, logits, predict_proba, softmax
from mien.models.networks import build, torch_network

h5py = pytest.importorskip("h5py", reason="h5py (mien[keras]) is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="keras (mien[keras]) is not installed")


@pytest.fixture(scope="module")
def student(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that plain Keras wrote; copy it before changing it."""
    path = tmp_path_factory.mktemp("student") / "emotion_model.h5"
    sequential(keras).save(path)
    return path


@pytest.fixture(scope="module", params=["sequential", "unbuilt", "functional"])
def answered(
    keras: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, np.ndarray]:
    """A trained student's file, and Keras' answers."""
    path = tmp_path_factory.mktemp(request.param) / "emotion_model.h5"
    model = trained({"sequential": sequential, "unbuilt": unbuilt, "functional": functional}[request.param](keras))
    model.save(path)
    model.save(path.with_suffix(".keras"))
    return path, model.predict(inputs(FACES), verbose=0)


def blocks(keras: Any, epsilon: float = 1e-3) -> list[Any]:
    """The tutorial's layers up to the flattening, under names a long notebook session gives."""
    layers: list[Any] = []
    for i, width in enumerate((32, 64, 128)):
        layers += [
            keras.layers.Conv2D(width, 3, padding="same", kernel_regularizer="l2", name=f"block_{i}"),
            keras.layers.BatchNormalization(momentum=0.5, epsilon=epsilon),
            keras.layers.ReLU() if i else keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D((2, 2)),
        ]
    return [*layers, keras.layers.Flatten()]


def sequential(keras: Any, classes: int = 7, units: int = 128, tail: tuple[Any, ...] = ()) -> Any:
    top = [keras.layers.Dense(units, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(classes, "softmax"), *tail]
    return keras.Sequential([keras.layers.Input((48, 48, 1)), *blocks(keras), *top])


def unbuilt(keras: Any) -> Any:
    """Without an Input layer, as many tutorials have it: the first batch gives the shape."""
    return keras.Sequential([*blocks(keras), keras.layers.Dense(128, "relu"), keras.layers.Dense(7, "softmax")])


def functional(keras: Any) -> Any:
    inputs = faces = keras.layers.Input((48, 48, 1))
    for layer in [*blocks(keras, epsilon=1e-5), keras.layers.Dense(128), keras.layers.Activation("relu")]:
        faces = layer(faces)
    logits = keras.layers.Dense(7, name="conv2d_99")(keras.layers.Dropout(0.5)(faces))
    return keras.Model(inputs, keras.layers.Activation("softmax")(logits))


def trained(model: Any) -> Any:
    """After two steps, and with answers that differ from face to face."""
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(inputs(FACES[:8]), np.eye(7)[[0, 1, 2, 3, 4, 5, 6, 0]], batch_size=4, epochs=1, verbose=0)
    *weights, kernel, bias = model.get_weights()
    factor, offsets = spreading(model.predict(inputs(FACES), verbose=0))
    model.set_weights([*weights, kernel * factor, (bias - offsets) * factor])
    return model


def inputs(faces: np.ndarray) -> np.ndarray:
    return faces[..., None].astype(np.float32) / np.float32(255)


def as_keras_2(path: Path) -> None:
    """Names as Keras 2 writes them: `conv2d/conv2d/kernel:0`, in attributes of bytes."""
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        for layer in list(weights):
            names = [name.split("/")[-1] for name in weights[layer].attrs["weight_names"]]
            arrays = [weights[layer][name][()] for name in weights[layer].attrs["weight_names"]]
            del weights[layer]
            for name, array in zip(names, arrays, strict=True):
                weights[f"{layer}/{layer}/{name}:0"] = array
            weights.require_group(layer).attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in names]
        weights.attrs["layer_names"] = [name.encode() for name in weights.attrs["layer_names"]]


# --- both ways


def test_weights_come_back_bit_for_bit(keras: Any, tmp_path: Path) -> None:
    model = lively()
    write_model(model, tmp_path / "m.h5")
    back = read_model(tmp_path / "m.h5")
    expected = torch_network(model).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in torch_network(back).state_dict().items())
    assert back.header() == model.header()
    assert (predict_proba(back, FACES) == predict_proba(model, FACES)).all()


def test_keras_opens_our_file(keras: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = lively()
    write_model(model, tmp_path / "m.h5")
    assert not caplog.records
    loaded = keras.models.load_model(tmp_path / "m.h5")
    expected = predict_proba(model, FACES)
    assert expected.std(0).min() > 0.03
    np.testing.assert_allclose(loaded.predict(inputs(FACES), verbose=0), expected, atol=1e-5)
    loaded.fit(inputs(FACES[:2]), expected[:2], verbose=0)
    assert (type(loaded.optimizer).__name__, loaded.loss.__name__) == ("Adam", "categorical_crossentropy")
    assert [layer.rate for layer in loaded.layers if isinstance(layer, keras.layers.Dropout)] == [0.5]


@pytest.mark.parametrize("rename", [lambda path: None, as_keras_2])
def test_a_students_file_gives_the_same_answers(
    answered: tuple[Path, np.ndarray], tmp_path: Path, rename: Callable[[Path], None]
) -> None:
    path = Path(shutil.copy(answered[0], tmp_path))
    rename(path)
    model = read_model(path)
    np.testing.assert_allclose(predict_proba(model, FACES), answered[1], atol=1e-5)
    assert answered[1].std(0).min() > 0.03
    assert model.classes == EMOTIONS
    assert "alphabetical" in model.notes["classes"]


def test_a_students_keras_file_gives_the_same_answers(answered: tuple[Path, np.ndarray]) -> None:
    model = read_model(answered[0].with_suffix(".keras"))
    np.testing.assert_allclose(predict_proba(model, FACES), answered[1], atol=1e-5)
    assert "alphabetical" in model.notes["classes"]


def test_another_epsilon_gives_the_same_answers(keras: Any, tmp_path: Path) -> None:
    theirs = trained(functional(keras))  # epsilon 1e-5; ours is 1e-3
    theirs.save(tmp_path / "m.h5")
    write_model(read_model(tmp_path / "m.h5"), tmp_path / "again.h5")
    again = read_model(tmp_path / "again.h5")
    np.testing.assert_allclose(predict_proba(again, FACES), theirs.predict(inputs(FACES), verbose=0), atol=1e-5)


def test_other_classes_keep_their_names_and_order(keras: Any, tmp_path: Path) -> None:
    write_model(lively(("surprise", "happy", "wütend")), tmp_path / "m.h5")
    assert read_model(tmp_path / "m.h5").classes == ("surprise", "happy", "wütend")


def test_unnamed_classes_are_not_guessed(keras: Any, tmp_path: Path) -> None:
    sequential(keras, classes=3).save(tmp_path / "m.h5")
    with pytest.raises(ModelError, match="does not name its 3 classes; name them in its order: --classes a,b,c"):
        read_model(tmp_path / "m.h5")
    with pytest.raises(ModelError, match="answers with 3 classes, but --classes names 2"):
        read_model(tmp_path / "m.h5", classes=["a", "b"])
    model = read_model(tmp_path / "m.h5", classes=["smile", "frown", "blank"])
    assert (model.classes, model.architecture) == (("smile", "frown", "blank"), "classic")


@pytest.mark.parametrize("classes", ["happy", ["a"], ["a", "a"], ["a", ""], ["a", "b\n"], [1, 2]])
def test_classes_that_are_no_names_are_refused(classes: Any, student: Path) -> None:
    with pytest.raises(UsageError, match="give 2 to 1000 different names"):
        read_model(student, classes=classes)


def test_given_classes_take_the_place_of_guessed_ones_only(student: Path, tmp_path: Path) -> None:
    other = tuple(reversed(EMOTIONS))
    model = read_model(student, classes=other)
    assert (model.classes, model.notes["classes"]) == (other, "not in the file: as given")
    with pytest.raises(ModelError, match=r"names its classes itself, angry, .*; leave out --classes"):
        read_model("tiny", classes=other)
    assert read_model("tiny", classes=EMOTIONS).classes == EMOTIONS


# --- other layouts


def two_a_block(keras: Any) -> list[Any]:
    """As the best known tutorials on FER-2013: activation inside, `valid` and `same`, no batch norm or one after it."""
    c, p, d = keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.Dropout
    return [
        *(c(8, 3, activation="relu"), c(12, (3, 3), activation="elu", padding="same"), p(), d(0.25)),
        *(c(16, 5, activation="relu"), keras.layers.BatchNormalization(), c(16, 3, use_bias=False), p(2, 2), d(0.2)),
        *(keras.layers.Flatten(), keras.layers.Dense(24, "tanh"), keras.layers.BatchNormalization(), d(0.5)),
        keras.layers.Dense(7, "softmax"),
    ]


def augmented(keras: Any) -> list[Any]:
    """Of Keras' own guides: RGB, augmentation as a model within the model, Rescaling, global pooling, a linear head."""
    flips = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)])
    return [
        *(flips, keras.layers.RandomContrast(0.2), keras.layers.Rescaling(1 / 127.5, offset=-1)),
        *(
            keras.layers.Conv2D(16, 3, 2, "same"),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.LeakyReLU(),
        ),
        *(keras.layers.AveragePooling2D(3, 2), keras.layers.Conv2D(8, 3, 3, groups=2, activation="swish")),
        *(keras.layers.GlobalAveragePooling2D(), keras.layers.GaussianNoise(0.1), keras.layers.Dense(7)),
    ]


def odd(keras: Any) -> list[Any]:
    """What else is a plain stack: even kernels, dilation, odd strides, other activations, Softmax as a layer."""
    return [
        *(
            keras.layers.ZeroPadding2D(((1, 0), (2, 3))),
            keras.layers.Conv2D(6, (4, 2), (2, 3), "same", activation="gelu"),
        ),
        *(keras.layers.PReLU(shared_axes=[1, 2]), keras.layers.MaxPooling2D((3, 2), (1, 2), "same")),
        *(
            keras.layers.Conv2D(8, 3, dilation_rate=2, padding="same"),
            keras.layers.ReLU(6.0, 0.1),
            keras.layers.ELU(0.5),
        ),
        *(keras.layers.Activation("softplus"), keras.layers.SpatialDropout2D(0.1), keras.layers.GlobalMaxPooling2D()),
        *(keras.layers.Dense(5, "sigmoid"), keras.layers.Dense(7), keras.layers.Softmax()),
    ]


@pytest.mark.parametrize(("layout", "channels"), [(two_a_block, 1), (augmented, 3), (odd, 1)])
@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras"])
@pytest.mark.parametrize("chained", [False, True])
def test_any_plain_stack_gives_keras_answers(
    keras: Any, layout: Callable[[Any], list[Any]], channels: int, suffix: str, chained: bool, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((48, 48, channels)), *layout(keras)]
    theirs = keras.Sequential(layers)
    if chained:
        faces = layers[0]
        for layer in layers[1:]:
            faces = layer(faces)
        theirs = keras.Model(layers[0], faces)
    rng = np.random.default_rng(0)
    for weight in theirs.weights:
        if "seed" not in weight.path:
            change = rng.uniform(0, 1, weight.shape) if "variance" in weight.path else rng.normal(0, 0.1, weight.shape)
            weight.assign(weight.numpy() + change)
    theirs.save(tmp_path / f"m{suffix}")
    model = read_model(tmp_path / f"m{suffix}")
    scale = 255 if channels == 3 else 1
    expected = theirs.predict(np.repeat(inputs(FACES) * scale, channels, axis=3), verbose=0)
    answers = logits(model, FACES)
    if layout is not augmented:
        answers = softmax(answers)
    np.testing.assert_allclose(answers, expected, atol=1e-4, rtol=1e-3)
    assert expected.std(0).max() > 1e-3
    assert model.architecture == "keras"
    with pytest.raises(ModelError, match="only predicts"):
        write_model(model, tmp_path / "m.safetensors")


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_alone_are_those_of_the_classic_network(keras: Any, suffix: str, student: Path, tmp_path: Path) -> None:
    theirs = trained(sequential(keras))
    theirs.save_weights(tmp_path / "m.weights.h5")
    if suffix == ".h5":  # as Keras 2 writes them: under the layers' names, at the root
        theirs.save(tmp_path / "whole.h5")
        with h5py.File(tmp_path / "whole.h5") as source, h5py.File(tmp_path / "m.h5", "w") as file:
            for name in source["model_weights"]:
                source.copy(f"model_weights/{name}", file)
    path = tmp_path / f"m{suffix}"
    with pytest.raises(ModelError, match=r"weights without the network they belong to; .* give --network classic"):
        read_model(path)
    model = read_model(path, network="classic")
    np.testing.assert_allclose(predict_proba(model, FACES), theirs.predict(inputs(FACES), verbose=0), atol=1e-5)


def test_weights_of_another_network_are_not_the_classic_ones(keras: Any, tmp_path: Path) -> None:
    sequential(keras, units=64).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match=r"holds no weights of the classic network.*mien compare"):
        read_model(tmp_path / "m.weights.h5", network="classic")


def test_code_in_a_file_is_never_run(keras: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    name = str(marker)
    sequential(keras, tail=(keras.layers.Lambda(lambda x: Path(name).touch() or x),)).save(tmp_path / "m.h5")
    marker.unlink()
    with pytest.raises(ModelError, match="is a layer Lambda"):
        read_model(tmp_path / "m.h5")
    assert not marker.exists()


def layer_of(kind: str, **config: object) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "odd", **config}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: layers.insert(1, layer_of("Lambda")), "'odd' is a layer Lambda, which .*; let Keras .*compare"),
        (lambda layers: layers.insert(1, layer_of("Softmax")), "'odd' has the activation softmax where"),
        (lambda layers: layers.insert(3, layer_of("Activation", activation={"class_name": "x"})), "has the activation"),
        (lambda layers: layers[3]["config"].update(activation="evil"), "has the activation evil where"),
        (lambda layers: layers[-1]["config"].update(activation="sigmoid"), "ends with sigmoid, not with softmax"),
        (lambda layers: layers.append(layer_of("Dense", units=3)), "has the activation softmax where"),
        (lambda layers: layers[4]["config"].update(pool_size=[3, 3]), r"where kernel \(\d+, 128\) is wanted"),
        (lambda layers: layers[4]["config"].update(pool_size=[3, 10**9]), r"has pool_size \[3, 1000000000\]"),
        (lambda layers: layers[4]["config"].update(strides=[0, 1]), r"has strides \[0, 1\]"),
        (lambda layers: layers[4]["config"].update(padding="causal"), "has padding causal"),
        (lambda layers: layers[1]["config"].update(padding="reflect"), "has padding reflect"),
        (lambda layers: layers[1]["config"].update(filters=10**12), "has filters 1000000000000"),
        (lambda layers: layers[1]["config"].update(groups=7), "has groups 7"),
        (lambda layers: layers[1]["config"].update(data_format="channels_first"), "has data_format channels_first"),
        (lambda layers: layers[0]["config"].update(batch_shape=[None, 50, 50, 1]), r"takes images \[50, 50, 1\]"),
        (lambda layers: layers[2]["config"].update(epsilon=float("nan")), "has epsilon nan"),
        (lambda layers: layers[2]["config"].update(axis=1), "has axis 1, not the last"),
        (lambda layers: layers[2].pop("config"), "not a Keras .h5 file, or a damaged one"),
        (lambda layers: layers.extend([layer_of("Dropout")] * 400), "more than 300"),
        (lambda layers: layers.insert(0, layer_of("ZeroPadding2D", padding=[[9**9, 0], [0, 0]])), "has padding"),
        (lambda layers: layers.extend([layer_of("Flatten"), layer_of("Flatten")]), "has the activation softmax where"),
        (lambda layers: layers.clear(), "has no layers"),
    ],
)
def test_another_description_is_refused(
    student: Path, tmp_path: Path, change: Callable[[list[Any]], object], message: str
) -> None:
    path = Path(shutil.copy(student, tmp_path))
    with h5py.File(path, "r+") as file:
        description = json.loads(file.attrs["model_config"])
        change(description["config"]["layers"])
        file.attrs["model_config"] = json.dumps(description)
    with pytest.raises(ModelError, match=message):
        read_model(path)


def test_layers_that_are_no_chain_are_refused(keras: Any, tmp_path: Path) -> None:
    inputs_, *_ = faces = [keras.layers.Input((48, 48, 1))]
    for layer in [*blocks(keras), keras.layers.Dense(128, "relu"), keras.layers.Dense(7, "softmax")]:
        faces.append(layer(faces[-1], training=True) if "norm" in layer.name else layer(faces[-1]))
    keras.Model(inputs_, faces[-1]).save(tmp_path / "batch_statistics.h5")
    keras.Model(inputs_, [faces[-1], faces[-2]]).save(tmp_path / "two_ends.h5")
    for name in ("batch_statistics.h5", "two_ends.h5"):
        with pytest.raises(ModelError, match="not one plain chain"):
            read_model(tmp_path / name)


# --- tricks and damage


def replace_kernel(make: Callable[[Any, str, Path], object]) -> Callable[[Any, Path], None]:
    def change(weights: Any, folder: Path) -> None:
        name = next(name for name in weights["block_0"].attrs["weight_names"] if "kernel" in name)
        group = weights["block_0"]
        del group[name]
        make(group, name, folder)

    return change


def replace_layer(make: Callable[[Any, str, Path], object]) -> Callable[[Any, Path], None]:
    def change(weights: Any, folder: Path) -> None:
        del weights["block_0"]
        make(weights, "block_0", folder)

    return change


def dataset(values: object = None, **how: Any) -> Callable[[Any, Path], None]:
    return replace_kernel(lambda group, name, folder: group.create_dataset(name, data=values, **how))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            replace_kernel(lambda g, n, d: g.__setitem__(n, h5py.ExternalLink(d / "x.h5", "/x"))),
            "'block_0' has {'bias'",
        ),
        (replace_kernel(lambda g, n, d: g.__setitem__(n, h5py.SoftLink("/model_weights"))), "'block_0' has {'bias'"),
        (replace_kernel(lambda g, n, d: g.__setitem__(n, g)), "'block_0' has {'bias'"),
        (replace_kernel(lambda g, n, d: None), "'block_0' has {'bias'"),
        (replace_layer(lambda g, n, d: g.__setitem__(n, h5py.ExternalLink(d / "x.h5", "/x"))), "a link to elsewhere"),
        (replace_layer(lambda g, n, d: g.__setitem__(n, h5py.SoftLink("/model_weights"))), "a link to elsewhere"),
        (replace_layer(lambda g, n, d: None), "missing, a link"),
        (replace_layer(lambda g, n, d: g.create_dataset(n, (3,), "f4")), "not stored as Keras stores weights"),
        (
            replace_kernel(lambda g, n, d: g.create_dataset(n, (3, 3, 1, 32), "f4", external=d / "secret")),
            "'block_0' has {'bias'",
        ),
        (
            dataset(shape=(10**9, 10**6), dtype="f4", chunks=(64, 64)),
            "'block_0' has {'bias'",
        ),
        (dataset(shape=(10**9, 10**6), dtype="f4"), "1,000,000,.* numbers, more than the classic network"),
        (dataset(shape=(3, 3, 1, 32), dtype="f4", chunks=(3, 3, 1, 32), compression="gzip"), "'block_0' has {'bias'"),
        (dataset(np.zeros((3, 3, 1, 32), np.int64)), "'block_0' has {'bias'"),
        (dataset(np.full((3, 3, 1, 32), "1.0", "S3")), "'block_0' has {'bias'"),
        (dataset(np.full((3, 3, 1, 32), np.nan, np.float32)), "holds numbers that no training leaves"),
        (dataset(np.full((3, 3, 1, 32), 1e300)), "holds numbers that no training leaves"),
    ],
)
def test_tricks_are_refused(student: Path, tmp_path: Path, change: Callable[[Any, Path], object], message: str) -> None:
    path = Path(shutil.copy(student, tmp_path))
    (tmp_path / "secret").write_bytes(bytes(3 * 3 * 32 * 4))
    with h5py.File(path, "r+") as file:
        change(file["model_weights"], tmp_path)
    with pytest.raises(ModelError, match=message):
        read_model(path)


@pytest.mark.parametrize("kept", [0, 7, 100, 4096, 0.3, 0.9, 0.999])
def test_a_cut_file_is_refused(student: Path, tmp_path: Path, kept: float) -> None:
    whole = student.read_bytes()
    (tmp_path / "m.h5").write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(ModelError, match=r"m\.h5: not a Keras \.h5 file, or a damaged one \(.+\); save it again"):
        read_model(tmp_path / "m.h5")


@pytest.mark.parametrize(
    "content", [b"not a model\n" * 99, np.random.default_rng(0).bytes(9999), b"PK\3\4" + bytes(99)]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.h5").write_bytes(content)
    with pytest.raises(ModelError, match=r"not a Keras \.h5 file, or a damaged one"):
        read_model(tmp_path / "m.h5")


def test_an_enormous_file_is_not_even_opened(tmp_path: Path) -> None:
    with open(tmp_path / "m.h5", "wb") as file:
        file.truncate(10**10)
    with pytest.raises(ModelError, match="larger than 64 MiB, which no model of Mien is"):
        read_model(tmp_path / "m.h5")


@pytest.mark.parametrize(
    "fields",
    [
        {"classes": ["a", "b"]},
        {"classes": ["a"] * 7},
        {"classes": [1, 2, 3, 4, 5, 6, 7]},
        {"classes": "abcdefg"},
        {"classes": None},
        {"preprocess": {"size": 64}},
        {"preprocess": {"flip": True}},
        {"architecture": "deep"},
        {"notes": []},
    ],
)
def test_a_changed_header_is_refused(student: Path, tmp_path: Path, fields: dict[str, object]) -> None:
    path = Path(shutil.copy(student, tmp_path))
    with h5py.File(path, "r+") as file:
        file.attrs["mien"] = json.dumps({**lively().header(), **fields})
    with pytest.raises(ModelError, match=r"export it again|damaged one"):
        read_model(path)


@pytest.mark.parametrize("value", [np.arange(3), ["a", "b"], np.void(b"x"), h5py.Empty("f")])
def test_a_description_that_is_no_text_is_refused(student: Path, tmp_path: Path, value: object) -> None:
    path = Path(shutil.copy(student, tmp_path))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = value
    with pytest.raises(ModelError, match="its 'model_config' is no text"):
        read_model(path)


def test_a_message_is_one_line_whatever_the_file_says(student: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(student, tmp_path))
    with h5py.File(path, "r+") as file:
        layers = [layer_of("a\nb\udced\x1b[2J" * 999)]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


# --- what cannot be written


def test_other_networks_are_not_written(tmp_path: Path) -> None:
    model = Model(build("pooled", 7), "pooled", EMOTIONS)
    with pytest.raises(ModelError, match=r"not 'pooled'; use \.safetensors"):
        write_model(model, tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())


def test_without_keras_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(UsageError, match=r"pip install '\.\[keras\]'"):
        write_model(lively(), tmp_path / "m.h5")
