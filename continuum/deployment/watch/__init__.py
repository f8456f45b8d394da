"""The watch: what live traffic says of a deployment."""
