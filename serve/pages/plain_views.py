"""What the pages without scripts show of jobs and cases: bodies of pages, as markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from hashwarden.serve.pages.deeds import consequence, subject
from hashwarden.serve.pages.markup import clock, duration, facts, listed, mapped, name, percent, table, text

__all__ = ["blindness", "case", "cases", "confirm", "job", "jobs"]

_WORST: Final = ("confirmed", "suspect", "watching", "abstain", "clear")


def _link(page: str, node: str, **query: str) -> str:
    """An address as an attribute's value."""
    given = {**query, "node": node} if node else query
    return text(f"{page}?" + "&".join(f"{key}={quote(str(value), safe='')}" for key, value in given.items()), 4000)


def _state(word: object) -> str:
    return f'<span class="state {text(word)}">{text(word)}</span>'


def jobs(page: Mapping[str, Any], status: Mapping[str, Any], node: str) -> str:
    """All jobs, what weighs most first."""
    rows = [(job, gpu, verdict) for job in map(mapped, listed(page.get("jobs")))
            for gpu, verdict in (mapped(job.get("verdicts")) or {"": {}}).items()]  # fmt: skip
    rows.sort(key=lambda row: (_rank(row[2]), -float(mapped(row[2]).get("strength") or 0)))
    blind = len(listed(status.get("blind")))
    head = f"<p>Node {name(status.get('node'))}, {len(rows)} job{'' if len(rows) == 1 else 's'} on GPUs"
    head += f"; <strong>{blind} blindness{'' if blind == 1 else 'es'}: not all can be seen</strong>" if blind else ""
    return f"{head}.</p>" + table(
        "Jobs on this node, by evidence", ("Job", "State", "User", "GPU", "Likeliest", "Evidence", "Why", "Case"),
        (_job_row(*row, node) for row in rows),
    )  # fmt: skip


def _rank(verdict: object) -> int:
    word = mapped(verdict).get("state")
    return _WORST.index(str(word)) if word in _WORST else len(_WORST)


def _job_row(one: Mapping[str, Any], gpu: str, given: object, node: str) -> list[str]:
    verdict = mapped(given)
    likeliest = str(verdict.get("likeliest") or "")
    why = "; ".join(str(each) for each in listed(verdict.get("reasons"))[:2])
    blind = ", ".join(str(each) for each in listed(one.get("blind")))
    held = str(one.get("case") or "")
    return [
        f'<a href="{_link("/plain/job", node, key=str(one.get("job")))}">{name(one.get("job"))}</a>',
        _state(verdict.get("state", "no verdict")), name(one.get("user") or one.get("namespace")), name(gpu),
        f"{text(likeliest or '-')} {percent(mapped(verdict.get('probabilities')).get(likeliest))}",
        percent(verdict.get("strength")), text(f"blind: {blind}; {why}" if blind else why),
        f'<a href="{_link("/plain/case", node, id=held)}">{text(held)}</a>' if held else "none",
    ]  # fmt: skip


def job(one: Mapping[str, Any], node: str) -> str:
    """One job: who, what it does, why, what is held against it."""
    ended = one.get("ended_unix_s")
    held = " ".join(f'<a href="{_link("/plain/case", node, id=str(each))}">{text(each)}</a>'
                    for each in listed(one.get("cases")))  # fmt: skip
    known = {
        "Job": name(one.get("job")), "Name": name(one.get("name")), "User": name(one.get("user")),
        "Account": name(one.get("account")), "Partition": name(one.get("partition")),
        "Namespace": name(one.get("namespace")), "Pod": name(one.get("pod")),
        "Began": clock(one.get("started_unix_s")), "Ended": clock(ended) if ended else "it runs",
        "Cannot be seen": text(", ".join(map(str, listed(one.get("blind")))) or "nothing"), "Cases": held or "none",
    }  # fmt: skip
    return facts(known) + "".join(_verdict(gpu, mapped(v)) for gpu, v in mapped(one.get("verdicts")).items()) + table(
        "GPU time by what it was most like", ("Class", "Time"),
        ([text(each), duration(seconds)] for each, seconds in mapped(one.get("gpu_seconds")).items()),
    )  # fmt: skip


def _verdict(gpu: str, verdict: Mapping[str, Any]) -> str:
    reasons = "".join(f"<li>{text(each)}</li>" for each in listed(verdict.get("reasons")))
    family = f"Family {text(verdict.get('family'))}, {percent(verdict.get('family_probability'))}. " if verdict.get(
        "family") else ""  # fmt: skip
    classes = sorted(mapped(verdict.get("probabilities")).items(), key=lambda item: -float(item[1] or 0))
    return (
        f"<h2>On {name(gpu)}: {_state(verdict.get('state'))}</h2>"
        f"<p>Evidence of mining {percent(verdict.get('strength'))} of what confirms it. {family}"
        f"Watched for {duration(verdict.get('watched_s'))}, seen: {text(verdict.get('tier') or 'nothing')}. "
        f"{text(verdict.get('abstains_for') or '')}</p><ul>{reasons}</ul>"
        + table("What it is like", ("Class", "Probability"), ([text(c), percent(p)] for c, p in classes))
    )


def cases(page: Mapping[str, Any], node: str) -> str:
    """All cases, open ones first."""
    every = sorted(map(mapped, reversed(listed(page.get("cases")))), key=lambda c: c.get("closed_unix_s") is not None)
    rows = (
        [
            f'<a href="{_link("/plain/case", node, id=str(one.get("id")))}">{text(one.get("id"))}</a>',
            "open" if one.get("closed_unix_s") is None else f"closed: {text(one.get('closed_for'))}",
            text(one.get("standing")), name(mapped(one.get("job")).get("key")),
            name(mapped(one.get("job")).get("user")),
            text(one.get("rule") or "none: only recorded"), text(one.get("waiting") or "nothing"),
            clock(one.get("opened_unix_s")),
        ]
        for one in every
    )  # fmt: skip
    heads = ("Case", "Open?", "Standing", "Job", "User", "Rule", "Waits for", "Opened")
    return table("Cases of this node", heads, rows) if every else "<p>No cases.</p>"


def case(one: Mapping[str, Any], token: str, node: str, mode: str) -> str:
    """One case with its form."""
    steps = ([text(key), text(mapped(step).get("state")), text(mapped(step).get("kind")),
              text(mapped(step).get("detail") or "-"), "yes" if mapped(step).get("dry") else "no"]
             for key, step in mapped(one.get("steps")).items())  # fmt: skip
    coming = ([text(each.get("name")), text(each.get("kind") or "nothing that its scheduler has"),
               f"{duration(each.get('left_s'))} of {duration(each.get('after_s'))}"]
              for each in map(mapped, listed(one.get("coming"))))  # fmt: skip
    approval = mapped(one.get("approval"))
    known = {
        "About": text(subject(one)), "Standing": text(one.get("standing")),
        "Open": "yes" if one.get("closed_unix_s") is None else f"closed: {text(one.get('closed_for'))}",
        "Rule": text(one.get("rule") or "none: it is only recorded"),
        "Waits for": text(one.get("waiting") or "nothing"),
        "Opened": clock(one.get("opened_unix_s")),
        "Approved": f"by {name(approval.get('by'))}: {text(approval.get('reason'))}, until "
        f"{clock(approval.get('expires_unix_s'))}" if approval else "no",
    }  # fmt: skip
    why = "".join(f"<li>{text(each)}</li>" for each in listed(mapped(one.get("evidence")).get("reasons")))
    history = "".join(f"<li>{each}</li>" for each in _history(one))
    return (
        facts(known) + f"<h2>Why</h2><ul>{why or '<li>no verdict: it rests on hours used</li>'}</ul>"
        + table("Steps of the ladder", ("Step", "State", "What", "Answer", "Only told"), steps)
        + table("What comes next, as the policy is now", ("Step", "What", "Time to go"), coming)
        + f"<h2>What happened</h2><ol>{history}</ol>" + _form(one, token, node, mode)
    )  # fmt: skip


def _history(one: Mapping[str, Any]) -> Iterator[str]:
    for line in listed(one.get("history")):
        unix_s, _, words = str(line).partition(" ")
        yield f"{clock(float(unix_s)) if unix_s.isdigit() else text(unix_s)} {text(words)}"


def _form(one: Mapping[str, Any], token: str, node: str, mode: str) -> str:
    where = _link("/plain/case", node, id=str(one.get("id")))
    deeds = "".join(f"<li><strong>{word}</strong>: {text(consequence(one, word, mode), 1000)}</li>"
                    for word in ("approve", "reject"))  # fmt: skip
    return (
        f'<h2>Decide</h2><ul>{deeds}</ul><form method="post" action="{where}">'
        f'<input type="hidden" name="token" value="{token}"><p><label for="reason">Reason, for the audit log</label>'
        '<input id="reason" name="reason" required minlength="3" maxlength="500" autocomplete="off"></p>'
        '<p><button name="word" value="approve">Approve …</button> <button name="word" value="reject">Reject …'
        "</button></p></form><p>You will be asked once more.</p>"
    )


def confirm(one: Mapping[str, Any], form: Mapping[str, str], deed: str, node: str) -> str:
    """The last question."""
    where = _link("/plain/case", node, id=str(one.get("id")))
    word = text(form.get("word"))
    hidden = "".join(f'<input type="hidden" name="{key}" value="{text(form.get(key, ""), 500)}">'
                     for key in ("token", "reason", "word"))  # fmt: skip
    return (
        f'<p class="alarm">{text(deed, 1000)}</p>' + facts({"Reason": text(form.get("reason"), 500)})
        + f'<form method="post" action="{where}">{hidden}<input type="hidden" name="sure" value="yes">'
        f'<p><button>Yes, {word}</button> <a href="{where}">No, back</a></p></form>'
    )  # fmt: skip


def blindness(status: Mapping[str, Any]) -> str:
    """What cannot be seen."""
    rows = [[text(b.get("kind")), name(b.get("subject") or "the whole node"), text(b.get("detail")),
             clock(b.get("began_unix_s"))] for b in map(mapped, listed(status.get("blind")))]  # fmt: skip
    if not rows:
        return "<p>Nothing is hidden that this agent knows of.</p>"
    return ("<p>What cannot be seen is unknown, not innocent. Nothing is done to the jobs concerned.</p>"
            + table("What cannot be seen", ("Kind", "Of what", "Why", "Since"), rows))  # fmt: skip
