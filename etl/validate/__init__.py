"""Validate: e-mails, phones, the schema, the mapping's rules. Strings in, strings out, with an issue per fault."""

from etl.validate.validator import Validator

__all__ = ["Validator"]
