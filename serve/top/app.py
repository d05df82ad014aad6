"""The program: reads in a thread of its own, and shows; a list of jobs below the GPUs and how well they are watched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar, Final, final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from hashwarden.errors import HashwardenError
from hashwarden.serve.top.columns import wrapped
from hashwarden.serve.top.decide import Decide, consequences
from hashwarden.serve.top.feed import Feed, Node
from hashwarden.serve.top.keys import JOBS
from hashwarden.serve.top.lines import Choices, Lines
from hashwarden.serve.top.order import Order
from hashwarden.serve.top.rows import CaseRow, JobRow, mapping
from hashwarden.serve.top.screens import HelpPage, JobPage, Page
from hashwarden.serve.top.tables import gpu_lines, job_lines
from hashwarden.serve.top.view import View, stale_of, view_of
from hashwarden.serve.top.words import Look, clean, fit

__all__ = ["JobsPage", "TopApp"]

_AGE_S: Final = 1.0
_TOLD_S: Final = 8.0
_OPENS: Final = frozenset({"filter", "search", "detail", "cases"})


class _Done(Message):
    """Something that was asked for in another thread is there."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.then = then


class JobsPage(Page, inherit_bindings=False):
    """The first page."""

    name_of_keys = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = list(JOBS)

    def __init__(self) -> None:
        super().__init__()
        self._ended, self._gpus, self._search, self._mode = False, 1, "", ""

    def compose(self) -> ComposeResult:
        """Make it."""
        yield Lines(id="head")
        yield Lines(id="gpus")
        yield Choices(id="jobs")
        yield Lines(id="why")
        yield Input(id="words")
        yield Lines(id="foot")

    def on_mount(self) -> None:
        """Show what is known."""
        words = self.query_one(Input)
        words.display, words.cursor_blink = False, False
        super().on_mount()

    @property
    def rows(self) -> list[JobRow]:
        """Those that are listed, in their order."""
        return self.top.order.of(self.top.view.ended if self._ended else self.top.view.jobs)

    @property
    def chosen(self) -> JobRow | None:
        """The job under the cursor."""
        key = self.query_one(Choices).chosen
        return next((row for row in self.rows if (row.node, row.key) == key), None)

    def fill(self, width: int) -> None:
        """Show GPUs and jobs."""
        top, view, rows, choices = self.top, self.top.view, self.rows, self.query_one(Choices)
        view.order = top.order
        self._show_gpus(width)
        heading, lines = job_lines(rows, view, width, top.look)
        choices.choose_from(heading, [(row.node, row.key) for row in rows], lines)
        every = len(view.ended if self._ended else view.jobs)
        self.query_one("#why", Lines).show(self._why(width, len(rows), every))

    def _show_gpus(self, width: int) -> None:
        top = self.top
        count = len(top.view.gpus)
        most = (0, max(0, self.size.height // 3 - 1), count)[self._gpus]
        rows = top.view.gpus if most >= count else top.view.worst_gpus
        heading, lines = gpu_lines(rows, top.view.names, width, top.look)
        texts = [heading, *lines[:most]] if most and count else []
        if 0 < most < count:
            texts[-1] = Text(fit(f"and {count - most + 1} more GPUs: t shows them", width, top.look))
        self.query_one("#gpus", Lines).show([*texts, Text()] if texts else [])

    def _why(self, width: int, shown: int, every: int) -> list[Text]:
        """The reason for the chosen job, and which jobs are listed."""
        top, row = self.top, self.chosen
        kind = "ended jobs" if self._ended else "jobs"
        told = f"{self.query_one(Choices).place} {kind}"
        if top.order.words:
            told += f", {shown} of {every} hold {clean(top.order.words, top.look, 60)!r} (Esc: all)"
        lines = wrapped(f"{row.job}: {row.reason}", width) if row else []
        lines = lines[: 3 if self.size.height >= 20 else 1]
        return [*lines, Text(fit(told, width, top.look), "bold")]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What opens something is done before the next key is read, for who types ahead; not while words are typed."""
        del parameters
        return not (self._mode and action in _OPENS)

    def action_move(self, count: int) -> None:
        """The cursor."""
        self.query_one(Choices).move(count)
        self.renew()

    def action_page(self, count: int) -> None:
        """The cursor, by a page."""
        self.action_move(count * self.query_one(Choices).room)

    def action_sort(self, step: int) -> None:
        """By another column."""
        self.top.order = self.top.order.moved(step)
        self.renew()

    def action_reverse(self) -> None:
        """The other way round."""
        order = self.top.order
        self.top.order = Order(order.key, not order.reverse, order.words)
        self.renew()

    def action_ended(self) -> None:
        """Jobs that ended, or those that go on."""
        self._ended = not self._ended
        self.top.read_soon(ended=self._ended)
        self.renew()

    def action_gpus(self) -> None:
        """Some, all, none."""
        self._gpus = (self._gpus + 1) % 3
        self.renew()

    def action_detail(self) -> None:
        """All of the chosen job."""
        row = self.chosen
        if row is not None:
            self.app.push_screen(JobPage(row))

    def action_help(self) -> None:
        """The keys."""
        self.app.push_screen(HelpPage())

    def action_redraw(self) -> None:
        """Draw the screen anew."""
        self.refresh(layout=True)

    def action_clear(self) -> None:
        """All jobs again."""
        self.top.order = Order(self.top.order.key, self.top.order.reverse)
        self._close()

    def action_filter(self) -> None:
        """Ask for words that jobs have to hold."""
        self._open("filter", self.top.order.words)

    def action_search(self) -> None:
        """Ask for words of the job to go to."""
        self._open("search", "")

    def action_search_next(self) -> None:
        """To the next that holds them."""
        rows = self.rows
        start = self.query_one(Choices).cursor + 1
        wanted = Order(words=self._search)
        for row in (*rows[start:], *rows[:start]):
            if self._search and wanted.holds(row):
                self.query_one(Choices).go((row.node, row.key))
                self.renew()
                return
        self.top.tell("no job holds these words" if self._search else "F3 asks for words to search for")

    def _open(self, mode: str, value: str) -> None:
        self._mode = mode
        words = self.query_one(Input)
        words.placeholder = f"{mode}: words of job, user, account, state, class, case; Enter"
        words.value, words.display = value, True
        self.set_focus(words)

    def _close(self) -> None:
        self._mode = ""
        self.query_one(Input).display = False
        self.set_focus(None)
        self.renew()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        if self._mode == "filter":
            self.top.order = Order(self.top.order.key, self.top.order.reverse, event.value[:200])
            self.renew()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The words are there."""
        mode = self._mode
        self._search = event.value if mode == "search" else self._search
        self._close()
        if mode == "search":
            self.action_search_next()


@final
class TopApp(App[None]):
    """See the module.

    Parameters
    ----------
    feed : Feed
        That was read once.
    look : Look
    every_s : float
        Seconds between two readings.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; overflow: hidden; layout: vertical; }
    Input { border: none; height: 1; padding: 0; background: ansi_default; color: ansi_default; }
    """

    def __init__(self, feed: Feed, look: Look, every_s: float = 2.0) -> None:
        super().__init__(ansi_color=True)
        self.animation_level = "none"
        self.feed, self.look, self.order = feed, look, Order()
        self.nodes: list[Node] = feed.nodes
        self.view: View = view_of(self.nodes, feed.clock(), look)
        self.paused, self.told = False, ""
        self._every_s, self._ended = every_s, False
        self._wake, self._stop = threading.Event(), threading.Event()

    def get_default_screen(self) -> Screen[None]:
        """The list of jobs."""
        return JobsPage()

    def on_mount(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read_on, name="top reads", daemon=True).start()
        self.set_interval(_AGE_S, self._renew)

    def on_unmount(self) -> None:
        """End; a reading that hangs is not waited for."""
        self._stop.set()
        self._wake.set()

    def read_soon(self, *, ended: bool | None = None) -> None:
        """Now, not at the next time."""
        self._ended = self._ended if ended is None else ended
        self._wake.set()

    def pause(self) -> None:
        """Stand still, or go on."""
        self.paused = not self.paused
        self.read_soon()
        self._renew()

    def tell(self, words: str) -> None:
        """Something, in the place of the keys, for a while."""
        self.told = clean(words, self.look, 300)
        self.set_timer(_TOLD_S, lambda told=self.told: self._forget(told))
        self._renew()

    def _forget(self, told: str) -> None:
        if self.told == told:
            self.told = ""
            self._renew()

    def _read_on(self) -> None:
        while not self._stop.is_set():
            if not self.paused:
                nodes = self.feed.read(ended=self._ended)
                self.post_message(_Done(lambda nodes=nodes: self._take(nodes)))  # type: ignore[misc]
            self._wake.wait(self._every_s)
            self._wake.clear()

    def _take(self, nodes: list[Node]) -> None:
        if self.paused:
            return
        self.nodes, self.view = nodes, view_of(nodes, self.feed.clock(), self.look)
        self._renew()
        if isinstance(self.screen, JobPage):
            self.ask_job(self.screen)

    def _renew(self) -> None:
        self.view.stale = stale_of(self.nodes, self.feed.clock())
        if isinstance(self.screen, Page):
            self.screen.renew()

    def on__done(self, message: _Done) -> None:
        """What another thread brought."""
        message.then()

    def _aside(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """In a thread that nobody waits for; what goes wrong is told."""

        def run() -> None:
            try:
                found = work()
            except HashwardenError as error:
                words = str(error)
                self.post_message(_Done(lambda: self.tell(words)))
                return
            self.post_message(_Done(lambda: then(found)))

        threading.Thread(target=run, name="top asks", daemon=True).start()

    def ask_job(self, page: JobPage) -> None:
        """All of a job, for its page."""
        self._aside(lambda: self.feed.job(page.row.node, page.row.key),
                    lambda found: page.take(dict(found[0]), dict(found[1])))  # fmt: skip

    def decide(self, case: CaseRow, word: str) -> None:
        """Ask why and whether, then do it."""
        node = next((one for one in self.nodes if one.peer.where == case.node), None)
        status = mapping(node.pages.get("status")) if node else {}
        mode = str(mapping(status.get("policy")).get("mode", ""))
        words = consequences(case, word, self.view.names.get(case.node, "?"), mode, self.look)

        def then(reason: str | None) -> None:
            if reason is None:
                self.tell(f"{case.label}: nothing was done")
                return
            done = {"approve": "approved", "reject": "rejected; its job is left alone"}[word]

            def after(_: object) -> None:
                self.tell(f"{case.label}: {done}")
                self.read_soon()

            self._aside(lambda: self.feed.decide(case.node, case.id, word, reason), after)

        self.push_screen(Decide(case, words, self.look), then)
