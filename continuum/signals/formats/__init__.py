"""How others write their logs, each read into the plain form: one module a format, `chat` and `parts` for what they share."""
