"""Train on classes of your own: a folder of <class>/<image>, whatever the classes are called.

python examples/own_classes.py faces/ my-model.safetensors
"""

import sys
from dataclasses import replace

from mien import open_data, write_model
from mien.train import find_recipe, train

folder, target = sys.argv[1:]
split = open_data(folder)  # train/, val/ and test/ of your own are kept; else 70/15/15, copies of a face together
print(f"{', '.join(split.classes)}: {len(split.train)} faces to learn from")

recipe = replace(find_recipe("modern"), epochs=10, batch_size=32)  # few faces: small batches make more updates
result = train(recipe, split.train, split.val, seed=0)
write_model(result.model, target)  # class names and preprocessing travel in the file
print(f"{target}: validation accuracy {result.best.val_accuracy:.1%} after epoch {result.best.epoch}")
