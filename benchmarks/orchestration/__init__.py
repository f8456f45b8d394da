"""What the orchestration does under load, under kills, and what it costs."""
