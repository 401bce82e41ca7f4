"""Alerts: a change of condition reaches every channel once, over real HTTP and SMTP, whoever is down meanwhile."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.config import parse_mapping
from etl.errors import ConfigError, EtlError
from etl.monitor import Delivery
from etl.monitor.alerts.changes import scrubbed
from etl.sandbox import SANDBOX_KEY
from etl.server.webhooks import signature
from tests.support.importer import ImporterFixture
from tests.support.receivers import MailReceiver, WebReceiver, mail_receiver, web_receiver

HOUR = 3_600.0


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with web_receiver() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    with mail_receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file of the user's own settings, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("KLAVIYO_PRIVATE_KEY", "KLAVIYO_ETL_NOTIFY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config" / "klaviyo-etl" / "settings.toml"
    path.parent.mkdir(parents=True)
    return path


@dataclass
class Night:
    """What a scheduler does every night with one file, and who is told."""

    desk: ImporterFixture
    notify: dict[str, Any] = field(default_factory=dict)

    def run(self, **options: Any) -> list[Delivery]:
        """Run the import as the command line does, and tell how it ended."""
        self.desk.mapping = {**self.desk.mapping, "notify": self.notify} if self.notify else self.desk.mapping
        error = None
        try:
            self.desk.run(**options)
        except EtlError as raised:
            error = raised
        return self.tell(error)

    def tell(self, error: EtlError | None = None, **options: Any) -> list[Delivery]:
        ended = pipeline.Command("run", str(self.desk.source), rule=self.notify, error=error)
        found = pipeline.tell_changes(context=self.desk.context, command=ended, **options)
        self.desk.clock.time += 24 * HOUR
        return found

    def well(self) -> list[Delivery]:
        self.desk.write(5)
        self.desk.mapping.pop("guards", None)
        return self.run()

    def partly(self) -> list[Delivery]:
        self.desk.write([("c1", "ann@mapleshop.com", "Ann"), ("", "no address", "Bob")])
        return self.run()

    def guard(self) -> list[Delivery]:
        self.desk.guards(min_rows=100)
        return self.run()

    def failed(self) -> list[Delivery]:
        self.desk.source.unlink(missing_ok=True)
        return self.run()


@pytest.fixture
def night(desk: ImporterFixture, web: WebReceiver) -> Night:
    return Night(desk, {"webhook": web.url})


def test_a_guard_before_any_run_is_told_as_a_guard(night: Night, web: WebReceiver) -> None:
    """What it said, and what settles it, stand in the alert and in the status."""
    night.desk.write(5)
    night.desk.guards(expect_account="Other1")
    for _ in range(2):
        night.run()
    assert web.told == [("guard", None)]
    told = web.documents[0]
    assert (told["code"], told["level"]) == ("account-unexpected", "critical")
    assert "was stopped by a guard" in told["subject"]
    assert "the mapping expects Other1" in told["text"]
    assert "expect_account" in told["text"]
    (one,) = pipeline.status_of(context=night.desk.context).sources
    assert one.condition == "guard"
    assert one.problem is not None
    assert one.next_step == one.problem.hint
    night.well()
    night.desk.guards(expect_account="Other1")
    night.run()
    assert web.told[1:] == [("well", "guard"), ("guard", "well")]
    assert pipeline.status_of(context=night.desk.context).sources[0].condition == "guard"


def test_each_change_is_told_once_and_no_night_twice(night: Night, web: WebReceiver) -> None:
    nights: list[Callable[[], object]] = [
        *(night.well, night.well),  # nothing to tell
        *(night.partly, night.partly),
        *(night.guard, night.guard, night.guard),
        *(night.failed, night.failed),
        *(night.well, night.well),
    ]
    for one in nights:
        one()
    assert web.told == [("partly", "well"), ("guard", "partly"), ("failed", "guard"), ("well", "failed")]
    assert len({one["id"] for one in web.documents}) == 4
    assert [one["level"] for one in web.documents] == ["warning", "critical", "critical", "ok"]
    failed = web.documents[2]
    assert failed["code"] == "source-not-found"
    assert "[source-not-found]" in failed["text"]
    assert web.documents[0]["rows"] == {"loaded": 1, "rejected": 1}


def test_every_pair_of_nights_tells_its_changes(desk: ImporterFixture, web: WebReceiver, tmp_path: Path) -> None:
    """Whatever comes after whatever: as many alerts as changes, in order."""
    night = Night(desk, {"webhook": web.url})
    steps = {"well": night.well, "partly": night.partly, "guard": night.guard}
    before = "well"
    night.well()
    expected: list[tuple[str, str | None]] = []
    for name in itertools.chain.from_iterable(itertools.product(steps, repeat=2)):
        desk.mapping.pop("guards", None)
        steps[name]()
        if name != before:
            expected.append((name, before))
        before = name
    assert web.told == expected


def test_a_receiver_that_is_down_gets_everything_later_once_and_in_order(night: Night, web: WebReceiver) -> None:
    night.well()
    web.status = 503
    (down,) = night.partly()
    assert (down.channel, down.problem) == ("webhook", "the receiver answered 503")
    assert pipeline.status_of(context=night.desk.context).alerts_waiting == 1
    night.guard()
    assert pipeline.status_of(context=night.desk.context).alerts_waiting == 2
    assert (web.bodies, web.refused) == ([], 2)
    web.status = 204
    # The next command, whichever it is, whether or not anything changed.
    assert [one.problem for one in night.guard()] == ["", ""]
    assert web.told == [("partly", "well"), ("guard", "partly")]
    night.guard()
    assert len(web.bodies) == 2
    assert pipeline.status_of(context=night.desk.context).alerts_waiting == 0


def test_processes_that_look_at_once_tell_it_once(tmp_path: Path, state_url: str, web: WebReceiver) -> None:
    """On SQLite and on PostgreSQL: who compares, compares alone, and a claimed alert is nobody else's."""
    desk = ImporterFixture(tmp_path, state=state_url)
    night = Night(desk, {"webhook": web.url})
    night.well()
    desk.guards(min_rows=100)
    desk.run()
    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(pipeline.tell_changes, context=desk.process()) for _ in range(8)]
    assert sum(len(one.result()) for one in looks) == 1
    assert web.told == [("guard", "well")]
    desk.sandbox.close()


def test_a_process_that_dies_before_it_delivers_leaves_that_to_the_next(
    night: Night, web: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.well()
    with monkeypatch.context() as patch:
        patch.setattr("etl.monitor.alerts.web.httpx.post", died)
        with pytest.raises(KeyboardInterrupt):
            night.partly()
    assert web.bodies == []
    night.partly()
    assert web.told == [("partly", "well")]


def died(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_channel_that_is_down_costs_the_others_nothing(
    desk: ImporterFixture, web: WebReceiver, mail: MailReceiver
) -> None:
    email = {"to": ["ops@example.com"], "from": "etl@example.com", "host": "127.0.0.1", "port": mail.port}
    night = Night(desk, {"webhook": web.url, "email": {**email, "security": "none"}})
    night.well()
    mail.refusing = True
    assert {one.channel: one.problem for one in night.partly()} == {
        "webhook": "",
        "email": "the mail server answered 451",
    }
    mail.refusing = False
    assert [(one.channel, one.problem) for one in night.partly()] == [("email", "")]
    assert (len(web.bodies), len(mail.messages)) == (1, 1)
    (message,) = mail.messages
    assert mail.recipients == [["ops@example.com"]]
    assert message["Subject"].startswith("klaviyo-etl: ")
    assert message["Subject"].endswith("was not loaded as a whole")
    assert "1 loaded, 1 rejected" in message.get_content()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_mail_is_handed_in_with_a_login(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_receiver(login=True) as mail:
        email = {"to": ["a@example.com", "b@example.com"], "from": "etl@example.com", "host": "127.0.0.1"}
        login = {"port": mail.port, "security": "none", "user": "etl", "password": "${NOTIFY_SMTP}"}
        night = Night(desk, {"email": {**email, **login}})
        night.well()
        monkeypatch.setenv("NOTIFY_SMTP", "wrong")
        assert [one.problem for one in night.partly()] == ["the mail server answered 535"]
        monkeypatch.setenv("NOTIFY_SMTP", "s3cret")
        assert [one.problem for one in night.partly()] == [""]
        assert mail.recipients == [["a@example.com", "b@example.com"]]
        assert list(dict.fromkeys(mail.logins)) == ["etl:wrong", "etl:s3cret"]


def test_a_webhook_is_signed_as_klaviyo_signs_its_own(
    night: Night, web: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLAVIYO_ETL_NOTIFY_SECRET", "a secret of ours, long enough")
    night.well()
    night.partly()
    (headers,) = web.headers
    ours = {
        "klaviyo-signature": headers["klaviyo-etl-signature"],
        "klaviyo-timestamp": headers["klaviyo-etl-timestamp"],
        "klaviyo-webhook-id": headers["klaviyo-etl-alert-id"],
    }
    now = night.desk.clock.now() - 24 * HOUR
    assert signature.verify(web.bodies[0], ours, "a secret of ours, long enough", now) is None
    assert signature.verify(web.bodies[0] + b" ", ours, "a secret of ours, long enough", now) is not None
    assert signature.verify(web.bodies[0], ours, "another secret of somebody", now) is not None


def test_slack_and_teams_get_what_they_show(
    desk: ImporterFixture, web: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_CHAT", web.url)
    desk.source = desk.folder / "a<b>&c.csv"
    night = Night(desk, {"slack": "${NOTIFY_CHAT}", "teams": "${NOTIFY_CHAT}"})
    night.well()
    night.partly()
    slack, teams = web.documents
    assert "a&lt;b&gt;&amp;c.csv" in slack["text"]
    (card,) = teams["attachments"]
    assert card["content"]["type"] == "AdaptiveCard"
    assert any("a<b>&c.csv" in block["text"] for block in card["content"]["body"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_service_of_apprise_gets_it(desk: ImporterFixture, web: WebReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SERVICE", web.url.replace("http://", "json://"))
    night = Night(desk, {"services": ["${NOTIFY_SERVICE}"]})
    night.well()
    assert [(one.channel, one.problem) for one in night.partly()] == [("service", "")]
    (document,) = web.documents
    assert "was not loaded as a whole" in document["title"]
    web.status = 500
    assert [one.problem for one in night.guard()] == ["the service did not take it"]


def test_overdue_is_told_by_who_looks_and_not_taken_back_by_who_does_not_know(night: Night, web: WebReceiver) -> None:
    night.well()
    night.desk.clock.time += 10 * HOUR
    assert night.tell(max_age=26 * HOUR) != []
    assert web.told == [("overdue", "well")]
    night.tell()  # another command, to which nobody said how often the source comes
    night.tell(max_age=26 * HOUR)
    assert len(web.bodies) == 1
    night.well()
    assert web.told == [("overdue", "well"), ("well", "overdue")]


def test_the_mapping_says_how_often_its_source_comes(night: Night, web: WebReceiver) -> None:
    night.notify["max_age"] = "26h"
    night.well()
    night.tell()
    night.tell()
    assert [one.condition for one in pipeline.status_of(context=night.desk.context).sources] == ["overdue"]
    assert web.told == [("overdue", "well")]


def test_only_what_is_wanted_is_told(night: Night, web: WebReceiver) -> None:
    night.notify["on"] = ["guard", "well"]
    for one in (night.well, night.partly, night.well, night.guard, night.well):
        one()
    assert web.told == [("guard", "well"), ("well", "guard")]


def test_whose_settings_say_so_is_told_of_every_source(desk: ImporterFixture, web: WebReceiver, settings: Path) -> None:
    settings.write_text(f'[notify]\nwebhook = "{web.url}"\n', "utf-8")
    night = Night(desk)
    night.well()
    night.partly()
    desk.source = desk.folder / "others.csv"
    desk.write(3)
    night.guard()
    assert web.told == [("partly", "well"), ("guard", None)]


def test_the_first_run_of_all_that_fails_is_told_at_once(desk: ImporterFixture, web: WebReceiver) -> None:
    """Without a state nothing can be kept: what cannot be told now is told by the next night."""
    night = Night(desk, {"webhook": web.url})
    desk.write(1)
    night.failed()
    assert [(one["condition"], one["code"]) for one in web.documents] == [("failed", "source-not-found")]


def test_no_address_no_key_and_no_value_leaves(desk: ImporterFixture, web: WebReceiver) -> None:
    night = Night(desk, {"webhook": web.url})
    night.well()
    error = ConfigError("x", f"ann.lee@mapleshop.com +1 (212) 555-0123 {SANDBOX_KEY} https://u:p@h/", "ask ann@x.com")
    night.tell(error)
    night.partly()
    said = json.dumps([*web.documents, [str(one) for one in web.headers]])
    for secret in ("ann.lee", "ann@x", "555-0123", SANDBOX_KEY, "pk_", "u:p@", "mapleshop", "no address", "Bob"):
        assert secret not in said, secret
    assert len(web.bodies) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T02:03:04Z run 20261128-020304-ab2c: 1,234,567 loaded", None),
        ("12,345 rows against 67,890 last time is a change of 81.8 %", None),
        ("call +49 151 2345 6789 now", "call *** now"),
        ("15550123456 and a@b.c", "*** and ***"),
    ],
)
def test_what_is_somebodys_is_struck_out_and_nothing_else(text: str, expected: str | None) -> None:
    assert scrubbed(text) == (expected or text)


def test_an_alert_goes_where_the_mapping_says_by_then(night: Night, web: WebReceiver) -> None:
    night.well()
    good, night.notify["webhook"] = night.notify["webhook"], "http://127.0.0.1:9/nobody"
    (down,) = night.partly()
    assert re.fullmatch(r"the receiver cannot be reached \(\w+\)", down.problem)
    night.notify["webhook"] = good
    night.partly()
    assert web.told == [("partly", "well")]


def test_a_receiver_cannot_send_an_alert_elsewhere(night: Night, web: WebReceiver) -> None:
    night.well()
    web.status = 307
    assert [one.problem for one in night.partly()] == ["the receiver answered 307"]
    assert web.refused == 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"slack": "https://hooks.slack.com/services/T/B/x"}, "whoever reads it can use it"),
        ({"webhook": "https://h/${AWS_SECRET_ACCESS_KEY}"}, "begin with NOTIFY_ only"),
        ({"max_age": "tomorrow"}, "not a duration"),
        ({"webhok": "https://h/"}, "did you mean 'webhook'"),
        ({"email": {"to": ["a@b.c\nBcc: x@y.z"], "from": "a@b.c", "host": "h"}}, "not an address"),
        ({"on": ["bad"]}, "on"),
    ],
)
def test_a_mapping_names_secrets_and_holds_none(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        pipeline.check("a.csv", {"columns": {"E": "email"}, "notify": rule})
    assert said in error.value.message


@pytest.mark.parametrize(
    ("address", "value", "code"),
    [
        ("${NOTIFY_URL}", "", "environment-missing"),
        ("${NOTIFY_URL}", "http://example.com/hook", "notify-address"),
        ("${NOTIFY_URL}", "https://user@example.com/hook", "notify-address"),
        ("${NOTIFY_URL}", f"https://example.com/{SANDBOX_KEY}", "variable-secret"),
    ],
)
def test_where_it_would_not_be_safe_to_send_nothing_is_sent(
    address: str, value: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value:
        monkeypatch.setenv("NOTIFY_URL", value)
    with pytest.raises(ConfigError) as error:
        pipeline.send_test_alert({"webhook": address})
    assert error.value.code == code


def test_the_mapping_has_the_hash_it_had(desk: ImporterFixture) -> None:
    """Who is told is no matter of what a record is: nothing is sent again for it."""
    told = {**desk.mapping, "notify": {"webhook": "https://example.com/"}}
    assert parse_mapping(desk.mapping).hash == parse_mapping(told).hash
