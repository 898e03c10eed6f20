"""What commands leave on disk, as typed values: no torch, no scikit-learn, no matplotlib."""
