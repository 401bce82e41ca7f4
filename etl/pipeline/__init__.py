"""The public verbs: what the command line calls and a program may call too."""
