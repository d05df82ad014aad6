"""Mail of a warning to the owner of a job, by the command that the site names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from hashwarden.serve.commands import Missing, TooLong, run, words
from hashwarden.serve.schedulers.scheduler import Action
from hashwarden.serve.schedulers.slurm_state import is_user

__all__ = ["SENT", "send"]

SENT: Final = "; mail sent"


def send(command: str | Sequence[str], action: Action, timeout_s: float) -> str:
    """Send it; whatever goes wrong is told in words and changes nothing: the comment has been set.

    Parameters
    ----------
    command : str or sequence of str
        Program and arguments, split as a shell would if it is one text; ``{user}`` and ``{job}`` are replaced in single
        arguments. Empty for no mail.
    action : Action
        Of a job whose id was found to be one.
    timeout_s : float

    Returns
    -------
    str
        What is added to the outcome.
    """
    try:
        parts = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        return f"; no mail: the mail command is no command: {error}"
    if not parts:
        return ""
    if not is_user(action.job.user):
        return f"; no mail: not the name of a user: {words(repr(action.job.user))}"
    filled = [part.replace("{user}", action.job.user).replace("{job}", action.job.id) for part in parts]
    try:
        said = run(filled, timeout_s, f"Job {action.job.id}, case {action.case}\n\n{action.reason}\n")
    except (Missing, TooLong) as error:
        return f"; the mail command failed: {error}"
    return f"; the mail command ended with {said.code}: {words(said.text)}" if said.code else SENT
