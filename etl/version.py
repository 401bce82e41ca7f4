"""The version, where hatchling and the program both find it."""

VERSION = "0.1.0"
