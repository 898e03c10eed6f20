"""Networks, trained models, and the files that hold them."""
