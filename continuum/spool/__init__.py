"""The spool between an application and the store: hand over, clean, write."""
