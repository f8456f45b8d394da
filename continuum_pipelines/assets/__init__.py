"""The seven assets, one file each, named as the asset; `definitions.py` lists them in the order data flows."""
