"""Settings: the key, the address and the choices of whoever runs the program."""
