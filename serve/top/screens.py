"""Pages over the list of jobs: one job, the cases, one case, help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from hashwarden.serve.top.detail import case_text, job_text
from hashwarden.serve.top.keys import CASES, DETAIL, HELP, MOVES, footer
from hashwarden.serve.top.lines import Choices, Lines
from hashwarden.serve.top.rows import CaseRow, JobRow
from hashwarden.serve.top.tables import case_lines, head_lines
from hashwarden.serve.top.words import fit

if TYPE_CHECKING:
    from hashwarden.serve.top.app import TopApp

__all__ = ["CasePage", "CasesPage", "HelpPage", "JobPage", "Page"]


class Page(Screen[None]):
    """A header that tells how well it is watched, something below, and the keys."""

    AUTO_FOCUS = ""  # keys go to the page, not to its line for words
    name_of_keys = "help"
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES, ("escape,q,f10", "back")]

    def compose(self) -> ComposeResult:
        """Make it."""
        yield Lines(id="head")
        yield Lines(id="body")
        yield Lines(id="foot")

    @property
    def top(self) -> TopApp:
        """The program."""
        return self.app  # type: ignore[return-value]

    def on_mount(self) -> None:
        """Show what is known."""
        self.renew()

    def on_resize(self) -> None:
        """Lay it out anew."""
        self.renew()

    def on_screen_resume(self) -> None:
        """Show what came meanwhile."""
        self.renew()

    def renew(self) -> None:
        """Show what is known now."""
        if not self.is_mounted or not self.query("#head"):
            return
        width, top = self.size.width, self.top
        head = head_lines(top.nodes, top.feed.clock(), width, top.look, most=max(1, min(4, self.size.height // 6)))
        if top.paused:
            head.append(Text(fit("PAUSED: p goes on", width, top.look), "bold reverse red"))
        self.query_one("#head", Lines).show(head)
        foot = top.told or footer(self.name_of_keys, width)
        self.query_one("#foot", Lines).show([Text(fit(foot, width, top.look), "reverse")])
        self.fill(width)

    def fill(self, width: int) -> None:
        """Show what is special to this page."""
        self.query_one("#body", Lines).show(self.texts(width), height=self.body_height)

    @property
    def body_height(self) -> int:
        """What header and footer leave."""
        head = self.query_one("#head", Lines).styles.height
        return max(1, self.size.height - int(head.value if head else 2) - 1)

    def texts(self, width: int) -> list[Text]:
        """Its lines."""
        return [Text(end="", no_wrap=width > 0)]

    def action_move(self, count: int) -> None:
        """Up or down."""
        self.query_one("#body", Lines).scroll_lines(count)

    def action_page(self, count: int) -> None:
        """A page up or down."""
        self.query_one("#body", Lines).scroll_lines(count * self.query_one("#body", Lines).room)

    def action_back(self) -> None:
        """To the page before."""
        self.app.pop_screen()

    def action_pause(self) -> None:
        """Stand still, or go on."""
        self.top.pause()

    def action_cases(self) -> None:
        """The cases."""
        self.app.push_screen(CasesPage())


class HelpPage(Page):
    """The keys."""

    def texts(self, width: int) -> list[Text]:
        """Its lines."""
        del width
        look = self.top.look
        states = (("clear", "no evidence of mining; no proof of innocence"),
                  ("watching", "some evidence; an honest job in ten may show as much"),
                  ("suspect", "at most one honest job in 100 ever shows such evidence"),
                  ("confirmed", "at most one in 1,000"),
                  ("abstain", "cannot be judged: the reason is told"))  # fmt: skip
        lines = [*(Text(f"  {keys:<24}{words}") for keys, words in HELP), Text()]
        return [*lines, *(Text(f"  {look.symbol(state)} {state:<22}{words}") for state, words in states)]


class JobPage(Page, inherit_bindings=False):
    """One job.

    Parameters
    ----------
    row : JobRow
    """

    name_of_keys = "detail"
    BINDINGS: ClassVar[list[BindingType]] = list(DETAIL)

    def __init__(self, row: JobRow) -> None:
        super().__init__()
        self.row = row
        self._page: dict[str, Any] = {}
        self._kernels: dict[str, Any] = {}

    def renew(self) -> None:
        """Also ask anew."""
        view = self.top.view
        rows = [row for row in (*view.jobs, *view.ended) if (row.node, row.key) == (self.row.node, self.row.key)]
        self.row = rows[0] if rows else self.row
        super().renew()

    def on_mount(self) -> None:
        """Ask for it."""
        super().on_mount()
        self.top.ask_job(self)

    def take(self, page: dict[str, Any], kernels: dict[str, Any]) -> None:
        """Show what was answered."""
        self._page, self._kernels = page, kernels
        self.renew()

    def texts(self, width: int) -> list[Text]:
        """Its lines."""
        stale = self.row.node in self.top.view.stale
        return job_text(self.row, self._page, self._kernels, width, self.top.look, stale=stale)


class CasePage(Page):
    """One case.

    Parameters
    ----------
    row : CaseRow
    """

    name_of_keys = "case"

    def __init__(self, row: CaseRow) -> None:
        super().__init__()
        self.row = row

    def texts(self, width: int) -> list[Text]:
        """Its lines."""
        found = [row for row in self.top.view.cases if (row.node, row.id) == (self.row.node, self.row.id)]
        self.row = found[0] if found else self.row
        return case_text(self.row, width, self.top.look)


class CasesPage(Page, inherit_bindings=False):
    """The cases, and what can be done about them."""

    name_of_keys = "cases"
    BINDINGS: ClassVar[list[BindingType]] = list(CASES)

    def __init__(self) -> None:
        super().__init__()
        self._also_closed = False

    def compose(self) -> ComposeResult:
        """Make it."""
        yield Lines(id="head")
        yield Choices(id="cases")
        yield Lines(id="why")
        yield Lines(id="foot")

    def fill(self, width: int) -> None:
        """Show the cases."""
        top, choices = self.top, self.query_one(Choices)
        rows = sorted((row for row in top.view.cases if row.is_open or self._also_closed),
                      key=lambda row: (not row.is_open, not row.waiting, -row.opened_unix_s))  # fmt: skip
        heading, lines = case_lines(rows, top.view.names, top.view.unix_s, width, top.look)
        choices.choose_from(heading, [(row.node, row.id) for row in rows], lines)
        case = self._chosen()
        words = f"{case.label} waits for: {case.waiting or 'nothing'}; steps: {case.steps or 'none yet'}" if case else (
            "No open cases." if not self._also_closed else "No cases."
        )  # fmt: skip
        self.query_one("#why", Lines).show([Text(fit(words, width, top.look), "bold")])

    def _chosen(self) -> CaseRow | None:
        key = self.query_one(Choices).chosen
        return next((row for row in self.top.view.cases if (row.node, row.id) == key), None)

    def action_move(self, count: int) -> None:
        """The cursor."""
        self.query_one(Choices).move(count)
        self.renew()

    def action_page(self, count: int) -> None:
        """The cursor, by a page."""
        self.action_move(count * self.query_one(Choices).room)

    def action_closed(self) -> None:
        """Closed ones too, or not."""
        self._also_closed = not self._also_closed
        self.renew()

    def action_detail(self) -> None:
        """One case with its history."""
        case = self._chosen()
        if case is not None:
            self.app.push_screen(CasePage(case))

    def action_decide(self, word: str) -> None:
        """Approve or reject."""
        case = self._chosen()
        if case is not None:
            self.top.decide(case, word)
