"""One module for each family of networks; `models/family.py` says what it declares."""
