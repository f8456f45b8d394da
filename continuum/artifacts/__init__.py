"""Where datasets and adapters lie: in a folder, or at a URL from which each machine fetches copies that it verifies."""
