"""What the assets are given: thin resources with configuration fields and a `build()`."""
