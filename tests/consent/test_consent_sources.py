"""Exports with opt-outs, as they come out of other tools: ``init --yes`` and nothing else, then ``run``.

From outside: the command line, real HTTP, and what the account says of each person afterwards.
"""

# ruff: noqa: E501 - lines of exports stand as they are

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from etl.cli import _main
from etl.config import DEFAULT_REVISION
from etl.errors import ExitCode
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.command_line import FastClock
from tests.support.effort import sample

OUT, STOP, IN, NEVER = "unsubscribed", "suppressed", "subscribed", "never"


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(job_seconds=0.05, limits="off")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: SandboxServer) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("KLAVIYO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KLAVIYO_PRIVATE_KEY", SANDBOX_KEY)
    monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
    monkeypatch.setattr("etl.pipeline.context.SystemClock", FastClock)
    return tmp_path


def people(server: SandboxServer, domain: str) -> dict[str, dict[str, Any]]:
    """Name → subscriptions of everybody at a domain, as the API shows them."""
    headers = {"Authorization": f"Klaviyo-API-Key {SANDBOX_KEY}", "revision": DEFAULT_REVISION}
    url: str | None = f"{server.url}/api/profiles?additional-fields%5Bprofile%5D=subscriptions&page%5Bsize%5D=100"
    found: dict[str, dict[str, Any]] = {}
    while url:
        page = httpx.get(url, headers=headers).raise_for_status().json()
        for profile in page["data"]:
            name, _, at = (profile["attributes"]["email"] or "").partition("@")
            if at == domain:
                found[name] = profile["attributes"]["subscriptions"]
        url = page["links"].get("next")
    return found


def state(subscriptions: dict[str, Any]) -> str:
    """Say in one word what a person's e-mail marketing has come to."""
    marketing = subscriptions["email"]["marketing"]
    if marketing["consent"] == "UNSUBSCRIBED":
        assert not marketing["can_receive_email_marketing"]
        return OUT
    if not marketing["can_receive_email_marketing"]:
        return STOP
    return IN if marketing["consent"] == "SUBSCRIBED" else NEVER


CASES: dict[str, tuple[str, dict[str, str]]] = {
    "hubspot": (
        (
            "Record ID,First Name,Last Name,Email,Lifecycle Stage,Create Date,Opted out of all email,Marketing contact status\n"
            "1,Ann,Lee,ann@D,customer,2024-01-10 10:20,true,Marketing contact\n"
            "2,Bob,Moss,bob@D,customer,2024-01-10 10:20,,Marketing contact\n"
        ),
        {"ann": OUT, "bob": NEVER},
    ),
    "hubspot-of-old": (
        (
            "Contact ID,Email,Lifecycle Stage,Create Date,Unsubscribed from all email,Email hard bounce reason,Contact owner\n"
            "1,ann@D,lead,2024-01-10 10:20,Yes,,Dana\n2,bob@D,lead,2024-01-10 10:20,No,UNKNOWN_USER,Dana\n"
            "3,cat@D,lead,2024-01-10 10:20,No,,Dana\n"
        ),
        {"ann": OUT, "bob": STOP, "cat": NEVER},
    ),
    "salesforce": (
        (
            "Id,FirstName,LastName,Email,MailingCity,CreatedDate,HasOptedOutOfEmail\n"
            "003Dn0000000001IAA,Cleo,Nash,cleo@D,Oslo,2023-01-01T10:22:33.000+0000,1\n"
            "003Dn0000000002IAA,Dan,Ode,dan@D,Oslo,2023-01-01T10:22:33.000+0000,0\n"
        ),
        {"cleo": OUT, "dan": NEVER},
    ),
    "salesforce-report": (
        (
            "Contact ID,First Name,Email,Email Opt Out,Email Bounced Date,Email Bounced Reason,Deleted\n"
            "003A,Cleo,cleo@D,TRUE,,,FALSE\n003B,Dan,dan@D,FALSE,2024-02-02,550 no such user,FALSE\n"
            "003C,Eve,eve@D,FALSE,,,TRUE\n003D,Fay,fay@D,FALSE,,,FALSE\n"
        ),
        {"cleo": OUT, "dan": STOP, "eve": OUT, "fay": NEVER},
    ),
    "mailchimp-unsubscribed": (
        (
            '"Email Address","First Name","Last Name",MEMBER_RATING,OPTIN_TIME,LAST_CHANGED,UNSUB_TIME,UNSUB_REASON,LEID,EUID,NOTES,TAGS\n'
            'emil@D,Emil,Park,2,"2022-01-01 11:12:13","2024-01-01 00:00:00","2024-02-02 02:02:02",NORMAL,1,e1,,"""VIP"""\n'
            'gil@D,Gil,Park,2,"2022-01-01 11:12:13","2024-01-01 00:00:00",,,2,e2,,\n'
            'hal@D,Hal,Park,2,"2022-01-01 11:12:13","2024-01-01 00:00:00","2024-02-02 02:02:02",ABUSE,3,e3,,\n'
        ),
        {"emil": OUT, "gil": OUT, "hal": STOP},
    ),
    "mailchimp-cleaned": (
        (
            '"Email Address","First Name","Last Name",MEMBER_RATING,OPTIN_TIME,LAST_CHANGED,CLEAN_TIME,LEID,EUID,NOTES,TAGS\n'
            'fay@D,Fay,Quinn,2,"2022-01-01 11:12:13","2024-01-01 00:00:00","2024-02-02 02:02:02",1,e1,,\n'
            'gus@D,Gus,Quinn,2,"2022-01-01 11:12:13","2024-01-01 00:00:00",,2,e2,,\n'
        ),
        {"fay": STOP, "gus": STOP},
    ),
    "klaviyo": (
        (
            "Email,Klaviyo ID,First Name,Email Marketing Consent,Email Marketing Consent Timestamp,Email Suppressions\n"
            "eve@D,01A,Eve,SUBSCRIBED,2024-03-02 10:00:00,USER_SUPPRESSED\n"
            "jim@D,01B,Jim,SUBSCRIBED,2024-03-02 10:00:00,\"['HARD_BOUNCE', 'UNSUBSCRIBE']\"\n"
            "kim@D,01C,Kim,SUBSCRIBED,2024-03-02 10:00:00,[]\n"
            "lea@D,01D,Lea,UNSUBSCRIBED,2024-03-02 10:00:00,\n"
            "max@D,01E,Max,NEVER_SUBSCRIBED,,\n"
            "ned@D,01F,Ned,SUBSCRIBED,2024-03-02 10:00:00,SOMETHING_NEW\n"
        ),
        {"eve": STOP, "jim": STOP, "kim": IN, "lea": OUT, "max": NEVER, "ned": STOP},
    ),
    "shopify": (
        (
            "Customer ID,First Name,Email,Accepts Email Marketing,Default Address Zip,Total Spent,Total Orders,Tags\n"
            "1,Ann,ann@D,yes,69001,3.00,1,\n2,Bob,bob@D,no,69001,3.00,1,\n"
        ),
        {"ann": NEVER, "bob": OUT},
    ),
    "braze": (
        (
            "external_id,email,email_subscribe,email_unsubscribed_at,email_hard_bounced,marked_email_as_spam_at\n"
            "1,ann@D,unsubscribed,2024-02-02T10:00:00Z,false,\n2,bob@D,subscribed,,true,\n3,cat@D,opted_in,,false,2024-02-02\n"
            "4,dan@D,opted_in,,false,\n"
        ),
        {"ann": OUT, "bob": STOP, "cat": STOP, "dan": NEVER},
    ),
    "constant-contact": (
        (
            "Email address,First name,Email status,Confirmed Opt-Out Date,Confirmed Opt-Out Source,Confirmed Opt-Out Reason\n"
            "ann@D,Ann,Unsubscribed,02/13/2024,User,Too many\nbob@D,Bob,Active,,,\ncat@D,Cat,Active,02/14/2024,,\n"
        ),
        {"ann": OUT, "bob": NEVER, "cat": OUT},
    ),
    "omnisend": (
        (
            "Email,First name,Status,Unsubscribe date\nann@D,Ann,unsubscribed,\nbob@D,Bob,subscribed,\n"
            "cat@D,Cat,nonSubscribed,\ndan@D,Dan,subscribed,2024-02-02\n"
        ),
        {"ann": OUT, "bob": NEVER, "cat": NEVER, "dan": OUT},
    ),
    "brevo": (
        "EMAIL,FIRSTNAME,OPT_IN,BLOCKLISTED\nann@D,Ann,true,1\nbob@D,Bob,true,0\ncat@D,Cat,false,0\n",
        {"ann": STOP, "bob": NEVER, "cat": OUT},
    ),
    "traps": (
        (
            "Email,Email Opt-in,Opted out,Subscribed,Bounce rate,Unsubscribe link,Not unsubscribed\n"
            "ann@D,false,No,1,0.5,https://example.com/u/1,yes\nbob@D,true,No,0,0.5,https://example.com/u/2,yes\n"
            "cat@D,true,No,1,0.5,https://example.com/u/3,yes\ndan@D,true,X,1,0.5,https://example.com/u/4,yes\n"
            "eve@D,true,,1,0.5,https://example.com/u/5,no\n"
        ),
        {"ann": OUT, "bob": OUT, "cat": NEVER, "dan": OUT, "eve": OUT},
    ),
    "german": (
        "E-Mail;Vorname;Abgemeldet am;Beschwerde;Gelöscht\nann@D;Ann;13.02.2024;;nein\nbob@D;Bob;;ja;nein\ncat@D;Cat;;;ja\ndan@D;Dan;;;nein\n",
        {"ann": OUT, "bob": STOP, "cat": OUT, "dan": NEVER},
    ),
    "french": (
        "Courriel,Prénom,Désabonné,Motif de désinscription\nann@D,Ann,oui,\nbob@D,Bob,non,trop de messages\ncat@D,Cat,non,\n",
        {"ann": OUT, "bob": OUT, "cat": NEVER},
    ),
    "spanish": ("Correo,Nombre,Fecha de baja\nann@D,Ann,13/02/2024\nbob@D,Bob,\n", {"ann": OUT, "bob": NEVER}),
    "italian": ("Email,Nome,Disiscritto\nann@D,Ann,sì\nbob@D,Bob,no\n", {"ann": OUT, "bob": NEVER}),
    "dutch": ("E-mailadres,Voornaam,Uitgeschreven\nann@D,Ann,ja\nbob@D,Bob,nee\n", {"ann": OUT, "bob": NEVER}),
    "portuguese": ("Email,Nome,Descadastrado\nann@D,Ann,sim\nbob@D,Bob,não\n", {"ann": OUT, "bob": NEVER}),
    "polish": ("Email,Imię,Wypisany\nann@D,Ann,tak\nbob@D,Bob,nie\n", {"ann": OUT, "bob": NEVER}),
    "swedish": ("E-post,Förnamn,Avregistrerad\nann@D,Ann,ja\nbob@D,Bob,nej\n", {"ann": OUT, "bob": NEVER}),
    "danish": ("Email,Fornavn,Frameldt\nann@D,Ann,ja\nbob@D,Bob,nej\n", {"ann": OUT, "bob": NEVER}),
    "norwegian": (
        "E-post,Fornavn,Reservert mot markedsføring\nann@D,Ann,ja\nbob@D,Bob,nei\n",
        {"ann": OUT, "bob": NEVER},
    ),
    "finnish": ("Sähköposti,Etunimi,Markkinointikielto\nann@D,Ann,kyllä\nbob@D,Bob,ei\n", {"ann": OUT, "bob": NEVER}),
    "czech": ("Email,Jméno,Odhlášen\nann@D,Ann,ano\nbob@D,Bob,ne\n", {"ann": OUT, "bob": NEVER}),
    "japanese": ("メールアドレス,名,配信停止\nann@D,Ann,はい\nbob@D,Bob,いいえ\n", {"ann": OUT, "bob": NEVER}),
    "unsubscribes": ("Email\nann@D\nbob@D\n", {"ann": OUT, "bob": OUT}),
    "bounce_list": ("Email\nann@D\n", {"ann": STOP}),
}


SOME = sample(list(CASES), 2)
AGAIN = sample(SOME, 5)


@pytest.mark.parametrize("name", SOME)
def test_nobody_who_opted_out_is_mailable(name: str, folder: Path, server: SandboxServer) -> None:
    text, expected = CASES[name]
    domain = f"{name.replace('_', '-')}.mapleshop.com"
    file = f"{name}.csv"
    (folder / file).write_text(text.replace("@D", f"@{domain}"), encoding="utf-8")
    assert _main(["init", file, "--yes"]) == ExitCode.OK
    assert _main(["run", file, "--yes"]) == ExitCode.OK
    assert {who: state(said) for who, said in people(server, domain).items()} == expected
    if name in AGAIN:
        assert _main(["run", file, "--yes"]) == ExitCode.OK, "a second time changes nothing"
        assert {who: state(said) for who, said in people(server, domain).items()} == expected


def test_who_was_subscribed_in_the_account_is_so_with_the_date_of_the_export(
    folder: Path, server: SandboxServer
) -> None:
    (folder / "k.csv").write_text(
        "Email,Klaviyo ID,Email Marketing Consent,Email Marketing Consent Timestamp,Email Suppressions,Phone Number,"
        "SMS Marketing Consent,SMS Marketing Consent Timestamp,SMS Transactional Consent,SMS Transactional Consent Timestamp\n"
        "kim@kay.mapleshop.com,01C,SUBSCRIBED,2024-03-02 10:00:00,,+14155552671,UNSUBSCRIBED,2024-03-02 10:00:00,"
        "SUBSCRIBED,2023-05-05 05:05:05\n",
        encoding="utf-8",
    )
    assert _main(["init", "k.csv", "--yes"]) == ExitCode.OK
    assert _main(["run", "k.csv", "--yes"]) == ExitCode.OK
    said = people(server, "kay.mapleshop.com")["kim"]
    assert said["email"]["marketing"]["consent_timestamp"].startswith("2024-03-02T10:00:00")
    assert said["sms"]["marketing"]["consent"] == "UNSUBSCRIBED"
    assert said["sms"]["transactional"]["consent"] == "SUBSCRIBED"
    assert said["sms"]["transactional"]["consent_timestamp"].startswith("2023-05-05T05:05:05")


def test_three_files_of_a_mailchimp_audience_are_one_source(folder: Path, server: SandboxServer) -> None:
    """Their columns differ; whoever stands in two of them has opted out."""
    common = '"Email Address","First Name",MEMBER_RATING,OPTIN_TIME,LAST_CHANGED'
    row = '@three.mapleshop.com,Ann,2,"2022-01-01 11:12:13","2024-01-01 00:00:00"'
    files = {
        "subscribed_members_export.csv": (f"{common},LEID,EUID\n", [f"s{n}{row},{n},e" for n in range(40)]),
        "unsubscribed_members_export.csv": (
            f"{common},UNSUB_TIME,UNSUB_REASON,LEID,EUID\n",
            [f"u{n}{row},{'' if n % 3 else '2024-02-02 02:02:02'},,{n},e" for n in range(30)] + [f"s7{row},,,7,e"],
        ),
        "cleaned_members_export.csv": (f"{common},CLEAN_TIME,LEID,EUID\n", [f"c{n}{row},,{n},e" for n in range(20)]),
    }
    for name, (header, rows) in files.items():
        (folder / name).write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    assert _main(["init", *files, "--yes", "--to", "audience.toml"]) == ExitCode.OK
    assert _main(["run", "-m", "audience.toml", "--yes"]) == ExitCode.OK
    found = {who: state(said) for who, said in people(server, "three.mapleshop.com").items()}
    expected = (
        {f"s{n}": NEVER for n in range(40)} | {f"u{n}": OUT for n in range(30)} | {f"c{n}": STOP for n in range(20)}
    )
    assert found == expected | {"s7": OUT}


# --- columns that nothing maps ----------------------------------------------------------------------------------------

UNHEARD = "Email,Opted out of all email\nann@unheard.mapleshop.com,true\n"


def mapped(folder: Path, text: str, source: str = UNHEARD) -> None:
    (folder / "people.csv").write_text(source, encoding="utf-8")
    (folder / "people.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "columns",
    ['[columns]\nEmail = "email"\n', '[columns]\nEmail = "email"\n"Opted out of all email" = "properties.opted_out"\n'],
    ids=["left out", "a mere property"],
)
@pytest.mark.parametrize(
    "options", [[], ["--yes"], ["--non-interactive"], ["--force"], ["--non-interactive", "--force"]]
)
def test_run_stops_where_nobody_hears_an_opt_out(
    columns: str, options: list[str], folder: Path, server: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mapped(folder, columns)
    assert _main(["run", "people.csv", *options]) == ExitCode.GUARD
    said = capsys.readouterr().err
    assert "[opt-outs-unmapped]" in said
    assert '"Opted out of all email" = "consent.email_optout"' in said
    assert 'ignore = ["Opted out of all email"]' in said
    assert "ann@" not in said
    assert people(server, "unheard.mapleshop.com") == {}


def test_check_and_plan_say_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapped(folder, '[columns]\nEmail = "email"\n')
    assert _main(["check", "people.csv"]) == ExitCode.OK
    assert "a run would stop here" in " ".join(capsys.readouterr().out.split())
    assert _main(["plan", "people.csv", "--format", "json"]) == ExitCode.GUARD
    (objection,) = orjson.loads(capsys.readouterr().out)["objections"]
    assert "'Opted out of all email' speaks of opt-outs" in objection
    assert "opt-outs-unmapped" in objection


def test_a_mapping_that_ignores_the_column_runs(folder: Path, server: SandboxServer) -> None:
    source = UNHEARD.replace("unheard", "ignored")
    mapped(folder, '[columns]\nEmail = "email"\n[consent]\nignore = ["Opted out of all email"]\n', source)
    assert _main(["run", "people.csv", "--yes"]) == ExitCode.OK
    assert {who: state(said) for who, said in people(server, "ignored.mapleshop.com").items()} == {"ann": NEVER}


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("Email,SMS opt-out\nann@quiet.mapleshop.com,true\n", 'Email = "email"'),
        (
            "Email,UNSUB_TIME,UNSUB_REASON\nann@quiet.mapleshop.com,,\n",
            'Email = "email"\nUNSUB_TIME = { to = "consent.email_optout_at", type = "date" }',
        ),
        ("Email,Bounce rate,Accepts marketing,Unsubscribe URL\nann@quiet.mapleshop.com,1,yes,x\n", 'Email = "email"'),
    ],
    ids=["no address of that kind", "the reason of what is heard", "nothing forbidden"],
)
def test_what_forbids_nothing_stops_nothing(source: str, columns: str, folder: Path) -> None:
    mapped(folder, f"[columns]\n{columns}\n", source)
    assert _main(["run", "people.csv", "--yes"]) == ExitCode.OK


def test_names_that_klaviyo_keeps_for_itself_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "Email,Consent\nann@special.mapleshop.com,email\n"
    mapped(folder, '[columns]\nEmail = "email"\nConsent = "properties.$consent"\n', source)
    assert _main(["check", "people.csv"]) == ExitCode.OK
    assert "'Consent' goes to properties.$consent" in capsys.readouterr().out
    assert _main(["run", "people.csv", "--yes"]) == ExitCode.OK
    assert "gives nobody's consent" in " ".join(capsys.readouterr().out.split())
