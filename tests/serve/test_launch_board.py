"""The board keeps the newest profile of each process that lives, and bounds the memory of the others."""

from hashwarden.serve import launch_board
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.launch_board import KEPT_S, KernelLaunches, LaunchBoard, LaunchProfile


def profile(pid, start_s=0.0, kernels=1):
    names = tuple(KernelLaunches(f"k{i}", 1, 32) for i in range(kernels))
    return LaunchProfile(ProcessKey(pid, 1), start_s, 1.0, names)


def kept(board):
    return [one.process.pid for one in board.of(ProcessKey(pid, 1) for pid in range(100))]


def test_the_newest_profile_of_each_process_is_told_once():
    board = LaunchBoard()
    board.put([profile(1), profile(2)])
    board.put([profile(1, 30.0)])
    assert [(one.process.pid, one.start_s) for one in board.fresh()] == [(2, 0.0), (1, 30.0)]
    assert board.fresh() == []
    board.put([profile(2, 60.0)])
    board.forget(ProcessKey(2, 1))
    assert (board.fresh(), kept(board)) == ([], [1])


def test_processes_without_a_new_profile_for_long_have_ended():
    board = LaunchBoard()
    board.put([profile(1), profile(2)])
    board.put([profile(2, KEPT_S), profile(3, KEPT_S)])
    assert kept(board) == [1, 2, 3]
    board.put([profile(2, KEPT_S + 1), profile(3, KEPT_S + 1)])
    assert kept(board) == [2, 3]


def test_many_kernels_and_many_processes_are_bounded(monkeypatch):
    monkeypatch.setattr(launch_board, "MOST_KERNELS", 100)
    monkeypatch.setattr(launch_board, "MOST_PROCESSES", 5)
    board = LaunchBoard()
    for pid in range(20):
        board.put([profile(pid, float(pid), 40)])
    assert kept(board) == [18, 19]
    board.put([profile(19, 20.0, 1), profile(18, 20.0, 1)])  # a smaller one in the place of a larger one makes room
    board.put([profile(pid, 21.0, 1) for pid in range(30, 40)])
    assert kept(board) == [35, 36, 37, 38, 39]
    board.put([profile(50, 22.0, 1000)])  # even one that is too large alone is told
    assert (kept(board), [one.process.pid for one in board.fresh()][-1]) == ([50], 50)
