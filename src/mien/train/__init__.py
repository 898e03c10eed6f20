"""Training: augmentation, recipes, the loop, and run folders."""
