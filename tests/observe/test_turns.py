"""Turns: who asked first is next, and nobody who offers a turn takes it right back."""

from __future__ import annotations

import threading

import pytest

from clew.observe.store.turns import Turns


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns = Turns()
    order: list[int] = []
    threads = []
    turns.acquire()
    for number in range(5):
        asked = len(turns._waiting)

        def run(number: int = number) -> None:
            with turns:
                order.append(number)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        while len(turns._waiting) == asked:
            pass
    assert turns.is_wanted
    turns.release()
    with turns:  # taken back only after all who waited
        order.append(5)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, 5]
    assert not turns.is_wanted


def test_a_turn_may_be_taken_again_by_whoever_has_it() -> None:
    turns = Turns()
    with turns, turns:
        assert turns.acquire(0)
        turns.release()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(turns.acquire(0)))
    thread.start()
    thread.join()
    assert found == [True]


def test_waiting_ends_after_its_time_and_leaves_no_claim() -> None:
    turns = Turns()
    turns.acquire()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(turns.acquire(0.01)))
    thread.start()
    thread.join()
    assert found == [False]
    assert not turns.is_wanted
    turns.release()
    assert turns.acquire(0)


def test_only_who_has_the_turn_can_give_it_back() -> None:
    with pytest.raises(RuntimeError, match="whose turn it is not"):
        Turns().release()
