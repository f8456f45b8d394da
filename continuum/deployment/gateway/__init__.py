"""The gateway: who asks, who answers, and what is kept of it."""
