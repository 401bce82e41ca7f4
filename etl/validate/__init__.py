"""Validate: e-mails, phones, the schema, the mapping's rules. Strings in, strings out, with an issue per fault."""

from etl.validate.cells import trimmed
from etl.validate.damage.columns import Damage, DamageJudge, damage_of, damage_told
from etl.validate.geo.countries import country_name, resolve_country
from etl.validate.geo.postal_codes import zip_digits
from etl.validate.probe import read_phone, textable_phones, valid_emails, valid_phones
from etl.validate.validator import Validator

__all__ = [
    "Damage",
    "DamageJudge",
    "Validator",
    "country_name",
    "damage_of",
    "damage_told",
    "read_phone",
    "resolve_country",
    "textable_phones",
    "trimmed",
    "valid_emails",
    "valid_phones",
    "zip_digits",
]
