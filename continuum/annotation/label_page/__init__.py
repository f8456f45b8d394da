"""The page on which people label: a server on loopback (`server.py`) and one page of plain HTML, CSS and JavaScript."""
