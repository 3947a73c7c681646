"""From a file of pairs to a page that people vote on: what `palate label` does."""

import getpass
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from palate.collection import Annotator, Item, Store, open_store
from palate.web.address import Address
from palate.web.app import label_app
from palate.web.desk import Desk
from palate.web.gate import Gate
from palate.web.opened import Invited, Opened
from palate.web.people import People, read_key
from palate.web.server import listen, open_browser_at, serve


def label(
    items: Sequence[Item],
    *,
    votes: Path,
    address: Address,
    admin: str | None = None,
    annotators: Sequence[str] = (),
    guidelines: str | None = None,
    settings: dict[str, Any] | None = None,
    open_browser: bool = True,
    on_open: Callable[[Opened], None] = lambda opened: None,
) -> None:
    """Collect votes until Ctrl-C.

    Args:
        items: pairs to vote on; those that the database has are left alone.
        votes: the database, made where it is missing.
        address: where to serve.
        admin: who may see quality and export; None is whoever runs this.
        annotators: who else may vote.
        guidelines: how to vote, in Markdown; None keeps what is there.
        settings: fields of `CollectionSettings` to set; others stay as they are.
        open_browser: open the admin's link on this machine.
        on_open: is told what there is before the first request is answered.

    Raises:
        UsageError: the address cannot be served, or a name or setting is none.
        StoreError: the database cannot be used.
    """
    with listen(address.host, address.port) as listener, open_store(votes) as store:
        port = listener.getsockname()[1]
        num_added = store.add_items(items)
        if settings:
            store.settle(replace(store.settings, **settings))
        if guidelines is not None:
            store.set_guidelines(guidelines)
        desk, origins = open_desk(store, votes=votes, address=address, port=port)
        # Everybody gets a link at every start; a browser that is signed in needs none.
        people = [_annotator(store, admin or whoever_runs_this(), is_admin=True)]
        people += [_annotator(store, name, is_admin=False) for name in annotators]
        known = [one for one in store.annotators() if one not in people]
        invited = tuple(Invited(one, desk.link(one)) for one in (*people, *known))
        progress = store.progress(invited[0].annotator.id)
        on_open(Opened(votes, progress.num_items, num_added, invited))
        if open_browser:
            open_browser_at(invited[0].link)
        serve(Gate(label_app(desk), origins=origins), listener)


def open_desk(
    store: Store, *, votes: Path, address: Address, port: int
) -> tuple[Desk, tuple[str, ...]]:
    """The desk of a database, and the origins that its pages may have."""
    origins = address.origins(port)
    people = People(
        lambda number: next((one for one in store.annotators() if one.id == number), None),
        key=read_key(votes.with_name(f"{votes.name}.key")),
        cookie=f"palate-{port}",
    )
    return Desk(store, people, origins[0]), origins


def votes_beside(data: str) -> Path:
    """Where the votes on a file go: `pairs.jsonl.gz` → `pairs.votes.sqlite` in its folder."""
    path = Path(data)
    stem = path.name.removesuffix(".gz").removesuffix(".zst")
    return path.with_name(f"{Path(stem).stem or 'pairs'}.votes.sqlite")


def whoever_runs_this() -> str:
    """The login name; "admin" where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no user of this number, as in some containers
        return "admin"


def _annotator(store: Store, name: str, *, is_admin: bool) -> Annotator:
    known = next((one for one in store.annotators() if one.name == name.strip()), None)
    if known is not None and (known.role == "admin" or not is_admin):
        return known  # a new entry would sign their browsers out
    return store.add_annotator(name, role="admin" if is_admin else "annotate")[0]
