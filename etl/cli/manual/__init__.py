"""The documentation that travels with the program, and the commands that show it."""
