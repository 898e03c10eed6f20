"""The original tutorial's training loop in Keras on TensorFlow, repaired; the yardstick for speed and accuracy.

It runs in its own environment, without mien: `pip install tensorflow scipy pillow`, then

    python bench/keras_original.py --data_dir data --epochs 30              accuracy: one JSON line an epoch
    python bench/keras_original.py --data_dir data --steps 100 --warmup 20  speed: one JSON line

`--data_dir` holds train/<emotion>/ and val/<emotion>/, as `prepare_data.py` writes them. Speed counts training steps
as the author ran them: each face is read, decoded and augmented in Python at each step. Validation is not counted.

Network, optimiser, batch size, class weights and augmentation are the author's. Repaired are his three slips:
all faces are used; every epoch is a whole one (his generator ran dry, so every second epoch saw a single batch);
and the shear is what he meant (see SHEAR).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"  # Keras reads it when it is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf  # pyrefly: ignore[missing-import]
from keras import layers, regularizers
from tensorflow.keras.preprocessing.image import ImageDataGenerator  # pyrefly: ignore[missing-import]

SIZE = 48
L2 = 1e-4
# The author wrote shear_range=0.20 and meant the factor s in x' = x + s y. Keras reads it as an angle in degrees,
# and a shear by 0.2 degrees is none. The angle whose tangent is 0.20 is 11.3 degrees.
SHEAR = math.degrees(math.atan(0.20))


def network(classes: int) -> keras.Model:
    """Three blocks (convolution, normalise, ReLU, pool), flatten, dense 128, dropout, softmax."""
    model = keras.Sequential([layers.Input((SIZE, SIZE, 1))])
    for filters in (32, 64, 128):
        model.add(layers.Conv2D(filters, 3, padding="same", kernel_regularizer=regularizers.l2(L2)))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(128, activation="relu", kernel_regularizer=regularizers.l2(L2)))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(classes, activation="softmax"))
    return model


def augmentation() -> ImageDataGenerator:
    """The author's random changes of a training face."""
    return ImageDataGenerator(
        rescale=1 / 255,
        rotation_range=15,
        zoom_range=0.1,
        shear_range=SHEAR,
        horizontal_flip=True,
        brightness_range=(0.7, 1.3),
        fill_mode="reflect",
    )


def faces(generator: ImageDataGenerator, folder: Path, batch_size: int, *, shuffle: bool):
    """Batches of gray faces and one-hot labels from <folder>/<emotion>/; classes in alphabetical order."""
    with redirect_stdout(sys.stderr):  # it says how many it found; stdout is for JSON
        return generator.flow_from_directory(
            folder,
            target_size=(SIZE, SIZE),
            color_mode="grayscale",
            class_mode="categorical",
            batch_size=batch_size,
            shuffle=shuffle,
        )


def balanced_weights(labels: np.ndarray) -> dict[int, float]:
    """Loss weight of each class: n / (K n_k)."""
    counts = np.bincount(labels)
    return {index: float(len(labels) / (len(counts) * count)) for index, count in enumerate(counts)}


class Stopwatch(keras.callbacks.Callback):
    """Times `steps` training steps after `warmup` steps, then ends training."""

    def __init__(self, steps: int, warmup: int, sizes: list[int]) -> None:
        super().__init__()
        self.steps, self.warmup, self.sizes = steps, warmup, sizes
        self.done, self.images, self.start, self.seconds = 0, 0, 0.0, 0.0

    def on_train_begin(self, logs: object = None) -> None:
        """Starts the clock, for a measurement without warm-up."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Counts a step; `batch` is its index in the epoch."""
        self.done += 1
        if self.done == self.warmup:
            self.start = time.perf_counter()
        elif self.done > self.warmup:
            self.images += self.sizes[batch]
        if self.done == self.warmup + self.steps:
            self.seconds = time.perf_counter() - self.start
            self.model.stop_training = True  # pyrefly: ignore[missing-attribute]


class EpochLines(keras.callbacks.Callback):
    """Prints each epoch's figures as one JSON line."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Starts the epoch's clock, which includes validation."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Prints the line."""
        figures = {name: float(value) for name, value in (logs or {}).items()}
        seconds = round(time.perf_counter() - self.start, 1)
        print(json.dumps({"epoch": epoch + 1, **figures, "seconds": seconds}), flush=True)


def speed(model: keras.Model, train, weights: dict[int, float], steps: int, warmup: int) -> dict[str, float]:
    """Images a second of `steps` training steps, the last batch of an epoch counted as it is."""
    sizes = [min(train.batch_size, train.n - start) for start in range(0, train.n, train.batch_size)]
    watch = Stopwatch(steps, warmup, sizes)
    epochs = -(-(steps + warmup) // len(sizes))
    model.fit(train, epochs=epochs, class_weight=weights, callbacks=[watch], verbose=0)
    return {"images_per_second": watch.images / watch.seconds, "images": watch.images, "seconds": watch.seconds}


def learn(model: keras.Model, train, val, weights: dict[int, float], epochs: int, model_path: Path | None) -> None:
    """The author's fit: early stopping, the rate halved on a plateau, optionally a file at each new low."""
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=3, min_lr=1e-6),
        EpochLines(),
    ]
    if model_path:
        callbacks.append(keras.callbacks.ModelCheckpoint(str(model_path), "val_loss", save_best_only=True))
    model.fit(train, validation_data=val, epochs=epochs, class_weight=weights, callbacks=callbacks, verbose=0)


def main() -> None:
    """Parse the flags, build, and either time or train."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data_dir", "--data-dir", type=Path, required=True, help="folder with train/ and val/")
    flags.add_argument("--batch_size", "--batch-size", type=int, default=64)
    flags.add_argument("--rate", type=float, default=1e-3, help="Adam's learning rate")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--warmup", type=int, default=20, help="steps before the clock starts")
    flags.add_argument("--model_path", "--model-path", type=Path, help="with --epochs: best model, .h5 or .keras")
    mode = flags.add_mutually_exclusive_group(required=True)
    mode.add_argument("--steps", type=int, help="measure speed over so many steps")
    mode.add_argument("--epochs", type=int, help="train for at most so many epochs")
    args = flags.parse_args()

    keras.utils.set_random_seed(args.seed)
    train = faces(augmentation(), args.data_dir / "train", args.batch_size, shuffle=True)
    weights = balanced_weights(train.classes)
    model = network(train.num_classes)
    model.compile(keras.optimizers.Adam(args.rate), loss="categorical_crossentropy", metrics=["accuracy"])
    if args.steps:
        library = f"keras {keras.__version__} on tensorflow {tf.__version__}"
        print(json.dumps({"library": library, **speed(model, train, weights, args.steps, args.warmup)}))
        return
    val = faces(ImageDataGenerator(rescale=1 / 255), args.data_dir / "val", args.batch_size, shuffle=False)
    learn(model, train, val, weights, args.epochs, args.model_path)


if __name__ == "__main__":
    main()
