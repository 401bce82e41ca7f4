"""Make the sample exports and their truth files: ``python sample_data/generate.py``. Seeded: the same bytes each time.

The truth is what the maker of each row meant it to become; the importer is not asked.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import flaws
from every_error import every_error
from people import People, Person
from sheets import Sheet, Truth

FOLDER = Path(__file__).parent
NEW_YORK = ZoneInfo("America/New_York")


def main(folder: Path = FOLDER) -> None:
    """Write every sample into a folder."""
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    for sheet in (hubspot(), salesforce(), shopify(), mailchimp(), every_error()):
        sheet.write(folder)


def put_contact(truth: Truth, person: Person, email: flaws.Cell, phone: flaws.Cell) -> None:
    """Note what the cells that all exports share should become."""
    truth.codes |= email.codes | phone.codes
    truth.put("email", email.value)
    truth.put("phone_number", phone.value)
    truth.put("first_name", person.first)
    truth.put("last_name", person.last)


def overlay(base: dict[str, Any], later: dict[str, Any]) -> None:
    """Merge as a person would: the later line's values win, what it lacks stays."""
    for name, value in later.items():
        if isinstance(value, dict):
            overlay(base.setdefault(name, {}), value)
        else:
            base[name] = value


def ragged(sheet: Sheet, cells: dict[str, str], *, more: bool) -> None:
    """Add a record with a cell too many, or two too few."""
    ordered = [cells.get(name, "") for name in sheet.header]
    ordered = [*ordered, "stray cell"] if more else ordered[:-2]
    sheet.add(ordered, Truth("rejected", {"row-too-long" if more else "row-too-short"}))


def hubspot() -> Sheet:
    """HubSpot contacts: record ids, free-text countries, dates in the portal's time zone. Duplicates are merged."""
    people = People(2101, series=0)
    chance = people.chance
    sheet = Sheet(
        "hubspot_contacts",
        [
            "Record ID - Contact",
            "First Name",
            "Last Name",
            "Email",
            "Mobile Phone Number",
            "Company Name",
            "City",
            "State/Region",
            "Postal Code",
            "Country/Region",
            "Lifecycle Stage",
            "Preferred channels",
            "Create Date",
            "Contact owner",
        ],
    )
    truths: list[tuple[int, dict[str, str], Truth]] = []
    names = {"United States": "United States", "United Kingdom": "UK", "Germany": "Germany", "France": "France"}
    stages = {"Lead": 5, "Customer": 3, "Opportunity": 2, "Evangelist": 1}
    for number in range(4_000):
        person = people.next()
        email, phone = flaws.email(person, chance), flaws.phone(person, chance)
        stage = chance.choices(list(stages), list(stages.values()))[0]
        channels = chance.sample(["Email", "SMS", "Post"], chance.randrange(0, 3))
        created = datetime(2022, 1, 1, 9, tzinfo=NEW_YORK) + timedelta(days=number % 900, minutes=number % 480)
        company = f"{person.last} & Co" if chance.random() < 0.4 else ""
        cells = {
            "Record ID - Contact": str(51_000_000 + number),
            "First Name": person.first,
            "Last Name": person.last,
            "Email": email.text,
            "Mobile Phone Number": phone.text,
            "Company Name": company,
            "City": person.place.city,
            "State/Region": person.place.region,
            "Postal Code": person.place.zip,
            "Country/Region": names[person.place.country],
            "Lifecycle Stage": stage,
            "Preferred channels": ";".join(channels),
            "Create Date": created.strftime("%Y-%m-%d %H:%M"),
            "Contact owner": "Dana Whitfield",
        }
        truth = Truth(lists=["Newsletter"])
        put_contact(truth, person, email, phone)
        truth.put("external_id", cells["Record ID - Contact"])
        truth.put("organization", company)
        truth.put("location.city", person.place.city)
        truth.put("location.region", person.place.region)
        truth.put("location.zip", person.place.zip)
        truth.put("location.country", cells["Country/Region"])
        truth.put("properties.lifecycle_stage", stage)
        if channels:
            truth.put("properties.preferred_channels", channels)
        truth.put("properties.created_at", created.isoformat())
        if number % 97 == 50:
            again, first_cells, first = chance.choice(truths[-90:])
            if not first.codes and first.profile.get("email") and "merged" not in first_cells:
                # The same address under a new record id: the same person, entered twice.
                cells["Email"] = first_cells["Email"]
                truth.codes = phone.codes
                truth.profile["email"] = first.profile["email"]
                overlay(first.profile, copy.deepcopy(truth.profile))
                first.codes.add("identifier-conflict")
                first_cells["merged"] = "yes"
                sheet.add(cells, Truth("duplicate", {*truth.codes, "duplicate-merged"}, merged_into=again))
                continue
        if number % 131 == 60:
            holder = next(t for _, _, t in reversed(truths) if t.profile.get("phone_number") and t.outcome == "loaded")
            # A family phone: it stays with the first line.
            cells["Mobile Phone Number"] = holder.profile["phone_number"]
            truth.codes = set(email.codes) | {"phone-shared"}
            truth.profile.pop("phone_number", None)
        if number % 800 == 799:
            ragged(sheet, cells, more=number % 1_600 == 799)
            continue
        if number % 500 == 250:
            sheet.blank()
        row = sheet.add(cells, truth)
        truths.append((row, cells, truth))
    return sheet


def salesforce() -> Sheet:
    """Salesforce contacts: every cell quoted, streets over several lines, Windows-1252. The last duplicate wins."""
    people = People(2102, series=1)
    chance = people.chance
    sheet = Sheet(
        "salesforce_contacts",
        [
            "Id",
            "LastName",
            "FirstName",
            "Title",
            "MailingStreet",
            "MailingCity",
            "MailingState",
            "MailingPostalCode",
            "MailingCountry",
            "MobilePhone",
            "Email",
            "Birthdate",
            "HasOptedOutOfEmail",
            "CreatedDate",
            "Loyalty_Points__c",
            "Lifetime_Value__c",
        ],
        encoding="cp1252",
        newline="\r\n",
        quote_all=True,
    )
    rows: list[tuple[int, dict[str, str], Truth]] = []
    for number in range(3_000):
        person = people.next()
        email, phone = flaws.email(person, chance), flaws.phone(person, chance, share=0.6)
        street = f"{chance.randrange(1, 300)} Mill Lane" + ("\r\nFlat B" if chance.random() < 0.15 else "")
        birth = datetime(1950, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(20_000))
        created = datetime(2019, 5, 1, 8, tzinfo=UTC) + timedelta(hours=number * 7, seconds=number % 60)
        points, value = chance.randrange(0, 5_000), chance.randrange(0, 900_000)
        bad_birth = number % 211 == 100
        cells = {
            "Id": f"003Kd{number:08d}IAA",
            "LastName": person.last,
            "FirstName": person.first,
            "Title": "Head of Buying" if chance.random() < 0.1 else "",
            "MailingStreet": street,
            "MailingCity": person.place.city,
            "MailingState": person.place.region,
            "MailingPostalCode": person.place.zip,
            "MailingCountry": person.place.country,
            "MobilePhone": phone.text,
            "Email": email.text,
            "Birthdate": "31/31/1970" if bad_birth else birth.strftime("%Y-%m-%d"),
            "HasOptedOutOfEmail": str(int(chance.random() < 0.1)),
            "CreatedDate": created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "Loyalty_Points__c": str(points) if number % 173 else f"{points} pts",
            "Lifetime_Value__c": f"{value / 100:.2f}",
        }
        truth = Truth(lists=["Customers"])
        put_contact(truth, person, email, phone)
        truth.put("external_id", cells["Id"])
        truth.put("title", cells["Title"])
        truth.put("location.address1", street)
        truth.put("location.city", person.place.city)
        truth.put("location.region", person.place.region)
        truth.put("location.zip", person.place.zip)
        truth.put("location.country", person.place.country)
        truth.put("properties.birthdate", "" if bad_birth else cells["Birthdate"])
        truth.put("properties.opted_out_of_email", cells["HasOptedOutOfEmail"] == "1")
        truth.put("properties.created_at", created.isoformat())
        truth.put("properties.loyalty_points", points if number % 173 else None)
        truth.put("properties.$value", value / 100)
        truth.codes |= {"date-invalid"} if bad_birth else set()
        truth.codes |= set() if number % 173 else {"integer-invalid"}
        rows.append((sheet.add(cells, truth), cells, truth))
        if number % 89 == 40:
            # Exported twice, because it was edited meanwhile: the later line is the newer one.
            _, old_cells, old = rows[-chance.randrange(1, 20)]
            if old.outcome != "loaded" or "copied" in old_cells:
                continue
            new_cells, new = dict(old_cells), copy.deepcopy(old)
            new_cells["Title"], new.profile["title"] = "Owner", "Owner"
            old_cells["copied"] = new_cells["copied"] = "yes"
            latest = sheet.add(new_cells, new)
            old.outcome, old.merged_into = "duplicate", latest
            old.codes = {*old.codes, "duplicate-dropped"}
            rows.append((latest, new_cells, new))
    return sheet


def shopify() -> Sheet:
    """Shopify customers: a BOM, phones behind an apostrophe, money, tags. The first duplicate stays."""
    people = People(2103, series=2)
    chance = people.chance
    sheet = Sheet(
        "shopify_customers",
        [
            "Customer ID",
            "First Name",
            "Last Name",
            "Email",
            "Accepts Email Marketing",
            "Default Address Company",
            "Default Address Address1",
            "Default Address City",
            "Default Address Province Code",
            "Default Address Country Code",
            "Default Address Zip",
            "Phone",
            "Total Spent",
            "Total Orders",
            "Note",
            "Tags",
        ],
        encoding="utf-8-sig",
    )
    rows: list[tuple[int, dict[str, str], Truth]] = []
    for number in range(5_000):
        person = people.next()
        email, phone = flaws.email(person, chance), flaws.phone(person, chance, share=0.5)
        orders, cents = chance.randrange(0, 40), chance.randrange(0, 500_000)
        tags = chance.sample(["VIP", "wholesale", "returns-often", "2023 campaign"], chance.randrange(0, 3))
        note = 'Said "call me after 5",\nthen hung up' if number % 61 == 0 else ""
        bad_money = number % 331 == 200
        cells = {
            "Customer ID": str(7_100_000_000_000 + number * 17),
            "First Name": person.first,
            "Last Name": person.last,
            "Email": email.text,
            "Accepts Email Marketing": "yes" if chance.random() < 0.6 else "no",
            "Default Address Address1": f"{chance.randrange(1, 90)} Quay Street",
            "Default Address City": person.place.city,
            "Default Address Province Code": person.place.region,
            "Default Address Country Code": person.place.code,
            "Default Address Zip": person.place.zip,
            "Phone": f"'{phone.text}" if phone.text.startswith("+") else phone.text,
            "Total Spent": "free gift" if bad_money else f"{cents / 100:.2f}",
            "Total Orders": str(orders),
            "Note": note,
            "Tags": ", ".join(tags),
        }
        truth = Truth(lists=["Shop customers"])
        put_contact(truth, person, email, phone)
        truth.put("external_id", cells["Customer ID"])
        truth.put("location.address1", cells["Default Address Address1"])
        truth.put("location.city", person.place.city)
        truth.put("location.region", person.place.region)
        truth.put("location.country", person.place.code)
        truth.put("location.zip", person.place.zip)
        truth.put("properties.accepts_email_marketing", cells["Accepts Email Marketing"] == "yes")
        truth.put("properties.total_orders", orders)
        truth.put("properties.note", note)
        if tags:
            truth.put("properties.tags", tags)
        truth.put("properties.$value", None if bad_money else cents / 100)
        truth.codes |= {"money-invalid"} if bad_money else set()
        if number % 71 == 35:
            row, old_cells, old = rows[-chance.randrange(1, 40)]
            if not old.codes and old.profile.get("email"):
                # A second account under the same address.
                cells["Email"] = old_cells["Email"]
                codes = phone.codes | ({"money-invalid"} if bad_money else set()) | {"duplicate-dropped"}
                old.codes.add("identifier-conflict")
                sheet.add(cells, Truth("duplicate", set(codes), merged_into=row))
                continue
        if number % 1_000 == 640:
            ragged(sheet, cells, more=True)
            continue
        rows.append((sheet.add(cells, truth), cells, truth))
    return sheet


def mailchimp() -> Sheet:
    """Mailchimp audience: no ids but the address, coordinates, groups that become lists. Duplicates are rejected."""
    people = People(2104, series=3)
    chance = people.chance
    sheet = Sheet(
        "mailchimp_audience",
        [
            "Email Address",
            "First Name",
            "Last Name",
            "Phone Number",
            "Birthday",
            "Interests",
            "MEMBER_RATING",
            "OPTIN_TIME",
            "OPTIN_IP",
            "LATITUDE",
            "LONGITUDE",
            "TIMEZONE",
            "CC",
            "REGION",
            "LAST_CHANGED",
            "LEID",
            "EUID",
            "NOTES",
            "TAGS",
        ],
    )
    rows: list[tuple[dict[str, str], Truth]] = []
    for number in range(2_000):
        person = people.next()
        email, phone = flaws.email(person, chance), flaws.phone(person, chance, share=0.3)
        groups = chance.sample(["Wine", "Cheese", "Events"], chance.randrange(0, 3))
        opted = datetime(2020, 2, 1, 10, tzinfo=UTC) + timedelta(hours=number * 5)
        bad_place = number % 157 == 80
        zone = "Atlantis/Capital" if number % 223 == 90 else person.place.zone
        cells = {
            "Email Address": email.text,
            "First Name": person.first,
            "Last Name": person.last,
            "Phone Number": phone.text,
            "Birthday": f"{chance.randrange(1, 13):02d}/{chance.randrange(1, 29):02d}",
            "Interests": ", ".join(groups),
            "MEMBER_RATING": str(chance.randrange(1, 6)),
            "OPTIN_TIME": opted.strftime("%Y-%m-%d %H:%M:%S"),
            "OPTIN_IP": f"203.0.113.{number % 250}" if chance.random() < 0.7 else "",
            "LATITUDE": "142.5" if bad_place else str(person.place.latitude),
            "LONGITUDE": str(person.place.longitude),
            "TIMEZONE": zone,
            "CC": person.place.code,
            "REGION": person.place.region,
            "LAST_CHANGED": opted.strftime("%Y-%m-%d %H:%M:%S"),
            "LEID": str(900_000 + number),
            "EUID": f"{number:010x}",
            "NOTES": "",
            "TAGS": '"Customer","2021"' if number % 9 == 0 else "",
        }
        truth = Truth(lists=sorted({"Audience", *groups}))
        put_contact(truth, person, email, phone)
        truth.put("location.ip", cells["OPTIN_IP"])
        truth.put("location.latitude", None if bad_place else person.place.latitude)
        truth.put("location.longitude", person.place.longitude)
        truth.put("location.timezone", "" if zone != person.place.zone else zone)
        truth.put("location.country", person.place.code)
        truth.put("location.region", person.place.region)
        truth.put("properties.birthday", cells["Birthday"])
        truth.put("properties.member_rating", int(cells["MEMBER_RATING"]))
        truth.put("properties.opted_in_at", opted.isoformat())
        truth.put("properties.mailchimp_tags", cells["TAGS"])
        truth.codes |= {"coordinate-invalid"} if bad_place else set()
        truth.codes |= {"timezone-invalid"} if zone != person.place.zone else set()
        if not email.value and not phone.value:
            truth = Truth("rejected", {*truth.codes, "identifier-missing"})
        elif number % 83 == 41:
            old_cells, old = rows[-chance.randrange(1, 30)]
            if (
                old.outcome == "loaded"
                and old.profile.get("email")
                and old.profile.get("email") == old_cells["Email Address"]
            ):
                cells["Email Address"] = old_cells["Email Address"]
                old.outcome = "rejected"
                old.codes.add("duplicate-rejected")
                truth = Truth("rejected", {*(truth.codes - email.codes), "duplicate-rejected"})
        sheet.add(cells, truth)
        rows.append((cells, truth))
    return sheet


if __name__ == "__main__":
    main()
