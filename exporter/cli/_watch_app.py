"""The terminal of `watch`, by Textual: tables in tabs, kept up to date, with keys and mouse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane

from exporter.cli._api import ApiError
from exporter.cli._watch_state import snapshot_of
from exporter.cli._watch_tables import Table, TableRow, View, arranged, summary, tables, wrong
from exporter.web.state import Health, Snapshot

_STYLES = {Health.UP: "", Health.DEGRADED: "yellow", Health.DOWN: "bold red", Health.PENDING: "dim"}
_MOST = 1000  # rows that a table shows; a filter finds the others
_LOOK = 0.2  # seconds between two checks for a new state
_PROBLEMS = 12  # lines
EXPORTER = ("exchanges", "endpoints", "streams", "books", "queues", "anomalies")
RELAY = ("incidents", "messages")


class StateReader(threading.Thread):
    """Reads the states again and again, so that keys never wait for the network."""

    def __init__(
        self, read: Callable[[], Any], relay: Callable[[], Any] | None, every: float
    ) -> None:
        super().__init__(name="watch reader", daemon=True)
        self._ask, self.relay, self._every = read, relay, every
        self.states: tuple[Any, Any] | None = None
        self.trouble = ""
        self.stop = threading.Event()

    def run(self) -> None:
        """Read until told to stop."""
        while not self.stop.is_set():
            state, relay = self.states or (None, None)
            troubles = []
            try:
                state = self._ask()
            except ApiError as error:
                troubles.append(f"no newer state: {error}")
            try:
                relay = None if self.relay is None else self.relay()
            except ApiError as error:
                troubles.append(f"relay: {error}")
            self.trouble = "; ".join(troubles)
            self.states = state, relay
            self.stop.wait(self._every)


class WatchApp(App[None]):
    """Shows what a `StateReader` reads."""

    TITLE = "exchange-exporter"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary { height: auto; text-style: bold; }
    #trouble { height: auto; color: $error; }
    #wrong { height: auto; max-height: 14; }
    TabbedContent { height: 1fr; }
    #filter { display: none; }
    #filter.typing { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter"),
        *(
            Binding(str(at), f"tab('{name}')", name, show=False)
            for at, name in enumerate((*EXPORTER, *RELAY), 1)
        ),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, reader: StateReader) -> None:
        super().__init__()
        self._reader = reader
        self._names = EXPORTER if reader.relay is None else (*EXPORTER, *RELAY)
        self._seen: object = None
        self._snapshot: Snapshot | None = None
        self._relay: Mapping[str, Any] | None = None
        self._tables: dict[str, Table] = {}
        self._shown: list[TableRow] = []  # of the tab that is open
        self._orders: dict[str, View] = {}  # by table: only their column and direction count
        self._exchange = self._word = ""

    def compose(self) -> ComposeResult:
        """Build the screen."""
        yield Static("waiting for the exporter ...", id="summary", markup=False)
        yield Static("", id="trouble", markup=False)
        with TabbedContent(id="tabs"):
            for at, name in enumerate(self._names, 1):
                with TabPane(f"{at} {name}", id=name):
                    yield DataTable[Text](id=f"table-{name}", cursor_type="row")
        yield Static("", id="wrong", markup=False)
        yield Input(placeholder="a word that rows have, such as okx, down or BTC", id="filter")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read."""
        self._reader.start()
        self.set_interval(_LOOK, self._look)
        self._table().focus()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._reader.stop.set()

    # --- what is shown ----------------------------------------------------------------------------

    def _look(self) -> None:
        """Show what was read since the last check."""
        self.query_one("#trouble", Static).update(self._reader.trouble)
        if self._reader.states is self._seen:
            return
        self._seen = self._reader.states
        state, self._relay = self._reader.states or (None, None)
        if state is not None:
            self._snapshot = snapshot_of(state)
            self._tables = tables(self._snapshot, self._relay)
            self._draw()

    def _draw(self) -> None:
        """Show the table of the tab that is open, with the cursor where it was."""
        if self._snapshot is None:
            return
        scope = f"  only {self._exchange}" if self._exchange else ""
        word = f"  filter {self._word}" if self._word else ""
        line = f"{summary(self._snapshot, self._relay)}{scope}{word}"
        self.query_one("#summary", Static).update(line)
        lines = list(wrong(self._snapshot, self._shown_exchanges()))[:_PROBLEMS]
        said = Text("\n").join(Text(text, _STYLES[health]) for health, text in lines)
        self.query_one("#wrong", Static).update(said)
        name = self._open_tab()
        if name in self._tables:
            self._fill(self._tables[name], self._view(name))

    def _fill(self, table: Table, view: View) -> None:
        widget, cursor = self._table(), self._table().cursor_row
        key = self._shown[cursor].key if cursor < len(self._shown) else None
        widget.clear(columns=True)
        for at, title in enumerate(table.columns):
            mark = "" if at != view.column else " ▼" if view.reverse else " ▲"
            widget.add_column(f"{title}{mark}", key=str(at))
        self._shown = arranged(table, view)[:_MOST]
        for each in self._shown:
            widget.add_row(*(Text(cell.text, _STYLES[each.health]) for cell in each.cells))
        places = [at for at, each in enumerate(self._shown) if each.key == key]
        widget.move_cursor(row=places[0] if places else cursor)

    def _shown_exchanges(self) -> set[str]:
        view = View(exchange=self._exchange, word=self._word)
        return {row.exchange for row in arranged(self._tables["exchanges"], view)}

    def _open_tab(self) -> str:
        return self.query_one("#tabs", TabbedContent).active or self._names[0]

    def _table(self) -> DataTable[Text]:
        return self.query_one(f"#table-{self._open_tab()}", DataTable)

    def _view(self, name: str) -> View:
        # The relay's incidents are of several exchanges.
        scope = "" if name in RELAY else self._exchange
        return replace(self._orders.get(name, View()), exchange=scope, word=self._word)

    # --- keys and mouse ---------------------------------------------------------------------------

    def action_sort(self) -> None:
        """Sort by the next column; after the last, by what is worst."""
        name, width = self._open_tab(), len(self._table().columns)
        at = self._orders.get(name, View()).column
        following = 0 if at is None else at + 1
        self._orders[name] = View(column=following if following < width else None)
        self._draw()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        view = self._orders.get(self._open_tab(), View(column=0))
        self._orders[self._open_tab()] = replace(view, reverse=not view.reverse)
        self._draw()

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.add_class("typing")
        field.focus()

    def action_tab(self, name: str) -> None:
        """Show a tab."""
        if name in self._names:
            self.query_one("#tabs", TabbedContent).active = name

    async def action_back(self) -> None:
        """Leave the filter; else show all exchanges again."""
        field = self.query_one("#filter", Input)
        if self._word or field.has_class("typing"):
            self._word = field.value = ""
            field.remove_class("typing")
        elif self._exchange:
            self._exchange = ""
            self.action_tab("exchanges")
        self._table().focus()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._word = event.value
        self._draw()

    def on_input_submitted(self) -> None:
        """Keep the filter, and go back to the table."""
        self.query_one("#filter", Input).remove_class("typing")
        self._table().focus()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column that was clicked, and the other way round at the second click."""
        at, name = int(event.column_key.value or 0), self._open_tab()
        before = self._orders.get(name, View())
        self._orders[name] = View(column=at, reverse=before.column == at and not before.reverse)
        self._draw()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show one exchange alone: its endpoints first."""
        found = (
            self._shown[event.cursor_row].exchange if event.cursor_row < len(self._shown) else ""
        )
        if found and found != self._exchange:
            self._exchange = found
            if self._open_tab() == "exchanges":
                self.action_tab("endpoints")
            self._draw()

    def on_tabbed_content_tab_activated(self) -> None:
        """Fill the tab that was opened."""
        self._table().focus()
        self._draw()
