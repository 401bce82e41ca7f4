"""State as a watchman sees it: looked at from outside, and the alerts that are to be told."""
