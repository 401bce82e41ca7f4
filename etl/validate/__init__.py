"""Validate: e-mails, phones, the schema, the mapping's rules. Strings in, strings out, with an issue per fault."""

from etl.validate.cells import trimmed
from etl.validate.damage.columns import Damage, DamageJudge, damage_of
from etl.validate.geo.countries import country_name, resolve_country
from etl.validate.geo.postal_codes import zip_digits
from etl.validate.probe import can_be_texted, good_emails, good_phones, read_phone
from etl.validate.validator import Validator

__all__ = [
    "Damage",
    "DamageJudge",
    "Validator",
    "can_be_texted",
    "country_name",
    "damage_of",
    "good_emails",
    "good_phones",
    "read_phone",
    "resolve_country",
    "trimmed",
    "zip_digits",
]
