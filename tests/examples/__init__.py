"""The examples run as their pages say, against servers on this machine."""
