"""Validate: e-mails, phones, the schema, the mapping's rules. Strings in, strings out, with an issue per fault."""

from etl.validate.countries import country_name, resolve_country
from etl.validate.shares import good_emails, good_phones, written_as_in
from etl.validate.validator import Validator

__all__ = ["Validator", "country_name", "good_emails", "good_phones", "resolve_country", "written_as_in"]
