"""What every verb that reads a source and knows an account does, whatever the kind of record."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from etl.config import DEFAULT_BASE_URL
from etl.config.mapping.document import R
from etl.model import SourceInfo
from etl.monitor.telemetry.timing import timed
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.engine.guarding import check_account
from etl.pipeline.engine.load import load_run
from etl.pipeline.engine.sender import Loading
from etl.pipeline.engine.stage import ImportRequest, looked_at, staged
from etl.pipeline.lifecycle.create import discard_or_refuse_unfinished
from etl.pipeline.lifecycle.notes import note
from etl.pipeline.lifecycle.readings import show_words
from etl.report import Report


@contextlib.contextmanager
def planned_source(request: ImportRequest[R]) -> Iterator[tuple[Loading[R], SourceInfo]]:
    """Stage a source and yield it beside its account; nothing of it is kept."""
    context, kind, rules = request.context, request.kind, request.rules
    kind.sender.check_settings(context, rules)
    with context.open_client() as client:
        get_account = functools.cache(client.get_account)
        with request.opened(lambda: get_account().id) as (source, store):
            account = get_account()
            check_account(kind.columns(rules).guards, account)
            with (
                looked_at(request, store, source, account) as run_id,
                timed(context.clock, context.observer, "plan", run_id),
            ):
                yield Loading(context, store, client, run_id, rules), source.info


def run_source(request: ImportRequest[R]) -> Report:
    """Stage a source, load it, report."""
    context, kind, rules = request.context, request.kind, request.rules
    kind.sender.check_settings(context, rules)
    with contextlib.ExitStack() as stack:
        if context.settings.base_url == DEFAULT_BASE_URL:
            context.say_host()
        client = stack.enter_context(context.open_client())
        for sentence in revision_notes(context):
            context.announce(sentence)
        get_account = functools.cache(client.get_account)
        source, store = stack.enter_context(request.opened(lambda: get_account().id))
        account = get_account()
        check_account(kind.columns(rules).guards, account)
        with store.lock.hold(account.id, request.command):
            discard_or_refuse_unfinished(store, account, abandon=request.abandon)
            show_words(context, source.info)
            said = kind.demand(context, source.info, rules)
            run_id = staged(request, store, source, account)
            note(store, run_id, said)
            return load_run(kind, Loading(context, store, client, run_id, rules, request.options.force))
