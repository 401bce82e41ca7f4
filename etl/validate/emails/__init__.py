"""E-mail addresses: the verdict, and the advice that goes with it."""
