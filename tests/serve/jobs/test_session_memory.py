from hashwarden.serve.jobs.session_memory import SessionMemory


def test_a_session_is_named_by_its_leader_and_stays_so_when_that_has_ended(tree):
    tree.put(10, 100, uid=1)
    tree.put(11, 150, session=10, uid=2)
    memory = SessionMemory(tree.proc)
    first = memory.identify(tree.proc.facts(11))
    assert (first.pid, first.started, first.uid) == (10, 100, 1)
    tree.end(10)
    assert memory.identify(tree.proc.facts(11)) == first
    tree.put(12, 20_000, session=10)  # began after the last look, while a known member lives
    assert memory.identify(tree.proc.facts(12)) == first


def test_a_member_that_began_before_the_last_look_is_of_the_same_session_though_all_known_ones_are_gone(tree):
    tree.put(10, 100)
    tree.put(11, 150, session=10)
    memory = SessionMemory(tree.proc)
    first = memory.identify(tree.proc.facts(10))
    tree.end(10)
    assert memory.identify(tree.proc.facts(11)) == first


def test_a_number_that_comes_again_is_another_session(tree):
    tree.put(10, 100)
    memory = SessionMemory(tree.proc)
    first = memory.identify(tree.proc.facts(10))
    tree.end(10)
    tree.put(10, 20_000)
    second = memory.identify(tree.proc.facts(10))
    assert second.started == 20_000
    assert second != first


def test_a_new_member_of_a_number_whose_members_are_all_gone_is_not_of_the_old_session(tree):
    tree.put(11, 150, session=10)
    memory = SessionMemory(tree.proc)
    first = memory.identify(tree.proc.facts(11))
    assert first.started == 150  # no leader was seen
    tree.end(11)
    tree.put(12, 20_000, session=10)
    assert memory.identify(tree.proc.facts(12)) != first


def test_ten_thousand_sessions_do_not_grow_it(tree):
    memory = SessionMemory(tree.proc, most=50)
    for pid in range(1000, 1200):
        tree.put(pid, 100)
        memory.identify(tree.proc.facts(pid))
    assert len(memory) == 50
