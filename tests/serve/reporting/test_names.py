"""Pseudonyms: the same within a report, nothing that could be guessed, nobody left in running text."""

from __future__ import annotations

from hashwarden.serve.reporting.names import WITHHELD, Names

JOB = {"key": "slurm:4711", "id": "4711", "user": "ada", "account": "physics", "namespace": "", "name": "xmr-for-bob",
       "partition": "gpu-long"}  # fmt: skip


def named(*jobs: dict[str, str]) -> Names:
    names = Names(redact=True)
    for job in jobs or (JOB,):
        names.learn(job)
    return names


def test_a_name_is_the_same_everywhere_and_another_name_another():
    names = named(JOB, {**JOB, "key": "slurm:5", "id": "5", "user": "bob"})
    assert names.person("ada") == "person-1"
    assert names.person("bob") == "person-2"
    assert names.text("mail to Ada, from BOB") == "mail to person-1, from person-2"
    assert names.account("physics") == "account-1"


def test_jobs_and_what_their_owners_called_them_are_gone_from_text():
    names = named()
    assert names.text("scancel 4711: slurm:4711 called xmr-for-bob in gpu-long") == (
        f"scancel job-1: job-1 called {WITHHELD} in {WITHHELD}"
    )
    assert names.secret("xmr-for-bob") == WITHHELD


def test_names_inside_paths_and_words_with_marks_are_found_and_other_words_are_not():
    names = named()
    assert names.text("/home/ada/run_ada.sh, adamant, ada@example.org") == (
        "/home/person-1/run_person-1.sh, adamant, person-1@example.org"
    )


def test_who_is_called_as_a_class_of_work_is_hidden_as_a_name_and_leaves_text_readable():
    names = named({**JOB, "user": "mining", "name": "training"})
    assert names.person("mining") == "person-1"
    assert names.text("mining, most like training") == "mining, most like training"


def test_a_person_who_is_also_a_name_of_a_job_stays_a_person():
    names = named({**JOB, "name": "ada"})
    assert names.person("ada") == "person-1"


def test_hostile_names_are_no_pattern():
    names = named({**JOB, "user": ".*(a+)+$", "name": "\\E[abc"})
    assert names.text("nobody here .*(a+)+$") == "nobody here person-1"
    assert names.person(".*(a+)+$") == "person-1"


def test_who_has_no_name_has_no_pseudonym():
    assert named({"key": "", "user": "", "account": ""}).person("") == ""


def test_without_redaction_names_are_only_made_fit_for_a_line():
    assert Names().person("ada\x1b[2J") == "ada\\x1b[2J"
    assert len(Names().text("x" * 10_000)) == 400
