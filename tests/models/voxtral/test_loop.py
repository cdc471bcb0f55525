"""The loop, stepped by the test on a scripted runner: who goes next, what is reused, how requests end."""

import pytest

from tests.models.voxtral.asking import Answer, Machine, clip
from tests.models.voxtral.scripted_runner import STAGES, Costs, ScriptedRunner, alone, token_after
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.urgency import FIRST, LAST, SPECULATIVE
from voxrtc.models.voxtral.request import End, Request, spans_of
from voxrtc.models.voxtral.sequence import GREEDY, Pick, Sampling


def ids(count: int, first: int = 100) -> list[int]:
    return list(range(first, first + count))


# -- answers --------------------------------------------------------------------------------------------------


def test_one_request_alone() -> None:
    machine = Machine()
    answer = machine.ask(ids(10), 7)
    machine.finish()
    assert answer.tokens == alone(answer.request, 64)
    assert len(answer.tokens) == 7
    assert answer.end is End.MAX_TOKENS
    assert machine.pages_in_use == 0


def test_many_at_once_are_answered_as_each_alone() -> None:
    machine = Machine(ScriptedRunner(pages=200, rows=8))
    answers = [machine.ask(ids(3 + n, 10 * n), 12 + n, session=str(n)) for n in range(12)]
    machine.finish()
    assert [a.tokens for a in answers] == [alone(a.request, 64) for a in answers]
    assert max(machine.runner.stepped) == 8


def test_seeds_are_told_to_the_runner() -> None:
    machine = Machine()
    answers = [
        Answer(machine.loop, Request(ids(5), 8, sampling=Sampling(temperature=1.0, seed=seed))) for seed in (1, 2)
    ]
    machine.finish()
    assert answers[0].tokens == alone(answers[0].request, 64) != answers[1].tokens


def test_a_stop_id_ends_the_answer_and_is_not_told() -> None:
    machine = Machine()
    whole = alone(Request(ids(5), 10), 64)
    stop = next(token for token in whole[3:] if token not in whole[:3])
    answer = Answer(machine.loop, Request(ids(5), 10, stop=frozenset({stop})))
    machine.finish()
    assert answer.tokens == whole[: whole.index(stop)]
    assert answer.end is End.STOP


def test_the_context_ends_the_answer() -> None:
    machine = Machine(ScriptedRunner(context=16))
    answer = machine.ask(ids(10), 50)
    machine.finish()
    assert answer.tokens == alone(answer.request, 16)
    assert len(answer.tokens) == 6
    assert answer.end is End.CONTEXT


def test_a_prompt_that_fills_the_context_but_for_one_token() -> None:
    machine = Machine(ScriptedRunner(context=16, pages=4))
    answer = machine.ask(ids(15), 50)
    machine.finish()
    assert len(answer.tokens) == 1
    assert answer.end is End.CONTEXT


def test_without_tokens_wanted_the_prompt_is_read_for_what_comes_after_it() -> None:
    machine = Machine()
    first = machine.ask(ids(10), 0, session="a")
    machine.finish()
    assert (first.tokens, first.end) == ([], End.MAX_TOKENS)
    again = machine.ask(ids(10), 0, session="a")
    machine.finish()
    assert again.end is End.MAX_TOKENS
    assert machine.runner.prefilled == [10]
    answer = machine.ask(ids(12), 3, session="a")
    machine.finish()
    assert machine.runner.prefilled == [10, 2]
    assert answer.tokens == alone(answer.request, 64)


# -- memory of sessions ---------------------------------------------------------------------------------------


def test_each_turn_reads_its_own_tokens_only() -> None:
    machine = Machine()
    said = ids(10)
    for turn in range(4):
        answer = machine.ask(said, 4, session="a")
        machine.finish()
        assert answer.tokens == alone(answer.request, 64)
        assert answer.request.usage == machine.loop.usage("a")
        # The token picked last was not read yet.
        assert answer.request.usage.prefilled == (10 if turn == 0 else 4)  # type: ignore[union-attr]
        said = [*said, *answer.tokens, 7, 8, 9]


def test_after_an_interruption_what_was_heard_is_reused() -> None:
    machine = Machine()
    answer = machine.ask(ids(10), 20, session="a")
    machine.step(4)
    machine.loop.cancel(answer.request)
    machine.step()
    assert answer.end is End.CANCELLED
    told = len(answer.tokens)
    following = machine.ask([*ids(10), *answer.tokens[:3], 7, 8], 4, session="a")
    machine.finish()
    assert told > 3
    assert following.request.usage.reused == 13  # type: ignore[union-attr]
    assert following.tokens == alone(following.request, 64)


def test_sessions_that_are_idle_go_first_when_memory_is_short() -> None:
    machine = Machine(ScriptedRunner(pages=8, page_size=4))
    for session in "abc":
        machine.ask(ids(8), 1, session=session)
        machine.finish()
    answer = machine.ask(ids(20, 500), 4)
    machine.finish()
    assert answer.tokens == alone(answer.request, 64)
    newest = machine.ask([*ids(8), 1, 2], 1, session="c")
    machine.finish()
    assert newest.request.usage.reused == 8  # type: ignore[union-attr]


# -- clips ----------------------------------------------------------------------------------------------------


def test_a_clip_is_encoded_once_for_reply_and_transcript() -> None:
    machine, heard = Machine(), clip()
    reply = machine.ask([1, 3, *heard.ids()[:20], 4], 5, clips=(heard,), session="a")
    transcript = machine.ask([1, *heard.ids()[:20], 5], 5, clips=(heard,))
    machine.finish()
    assert machine.runner.encoded == [heard.key]
    assert machine.runner.order.count("encode") == STAGES
    assert reply.tokens == alone(reply.request, 64)
    assert transcript.tokens == alone(transcript.request, 64)
    assert heard.embeds is None, "its memory is not freed"


def test_a_clip_of_an_earlier_turn_is_not_encoded_again() -> None:
    machine, earlier, now = Machine(), clip(), clip()
    first = machine.ask([1, *earlier.ids()[:10], 4], 3, clips=(earlier,), session="a")
    machine.finish()
    prompt = [*first.request.ids, *first.tokens, 3, *now.ids()[:10], 4]
    second = machine.ask(prompt, 3, clips=(earlier, now), session="a")
    machine.finish()
    assert machine.runner.encoded == [earlier.key, now.key]
    assert second.tokens == alone(second.request, 64)


def test_a_clip_is_as_urgent_as_the_most_urgent_that_hears_it() -> None:
    machine, guessed, shared = Machine(), clip(), clip()
    machine.ask([1, *guessed.ids()[:5]], clips=(guessed,), level=LAST)
    machine.ask([1, *shared.ids()[:5]], clips=(shared,), level=LAST)
    machine.ask([2, *shared.ids()[:5]], clips=(shared,))
    machine.finish()
    assert machine.runner.encoded == [shared.key, guessed.key]


def test_a_clip_that_what_is_kept_ends_with_is_not_encoded_again() -> None:
    machine, heard = Machine(), clip()
    prompt = [1, *heard.ids()[:10]]
    machine.ask(prompt, 0, clips=(heard,), session="a")
    machine.finish()
    machine.ask([*prompt, 4], 3, clips=(heard,), session="a")
    machine.finish()
    assert machine.runner.encoded == [heard.key]


def test_an_encoding_is_given_up_when_nobody_waits_for_it() -> None:
    machine, heard = Machine(), clip()
    reply = machine.ask([1, *heard.ids()[:5]], clips=(heard,))
    transcript = machine.ask([2, *heard.ids()[:5]], clips=(heard,))
    machine.step()
    machine.loop.cancel(reply.request)
    machine.step()
    assert machine.runner.given_up == []
    machine.loop.cancel(transcript.request)
    machine.finish()
    assert machine.runner.given_up == [heard.key]
    assert machine.runner.order == ["encode", "encode"]


def test_one_clip_at_a_time_is_encoded() -> None:
    machine, guessed, urgent = Machine(), clip(), clip()
    machine.ask([1, *guessed.ids()[:5]], clips=(guessed,), level=SPECULATIVE)
    machine.step()
    machine.ask([1, *urgent.ids()[:5]], clips=(urgent,))
    machine.finish()
    assert machine.runner.encoded == [guessed.key, urgent.key]


def test_where_the_ids_of_clips_end() -> None:
    one, other = clip(), clip()
    clips = {one.key: one, other.key: other}
    assert spans_of([1, 2], {}) == []
    prompt = [1, *one.ids()[:4], *other.ids()[:3], 5, *one.ids()]
    assert spans_of(prompt, clips) == [(5, one), (8, other), (9 + one.tokens, one)]
    with pytest.raises(ValueError, match="not given"):
        spans_of(prompt, {one.key: one})


# -- whose turn it is -----------------------------------------------------------------------------------------


def begun(machine: Machine, *answers: Answer) -> list[int]:
    """In which order ``answers`` got their first token."""
    order: list[int] = []
    while machine.loop.step():
        order += [n for n, answer in enumerate(answers) if answer.tokens and n not in order]
    return order


def test_the_urgent_first_then_the_oldest() -> None:
    machine = Machine()
    levels = [LAST, SPECULATIVE, FIRST, SPECULATIVE, FIRST, LAST]
    answers = [machine.ask(ids(10, 20 * n), level=level) for n, level in enumerate(levels)]
    assert begun(machine, *answers) == [2, 4, 1, 3, 0, 5]


def test_a_released_guess_moves_up_at_once() -> None:
    machine = Machine()
    runs = machine.ask(ids(5), 30)
    machine.step()
    answers = [machine.ask(ids(60, 60 * n), 3, level=SPECULATIVE) for n in (1, 2, 3)]
    machine.step()
    answers[2].request.urgency.release()
    assert begun(machine, *answers) == [2, 0, 1]
    assert runs.end is End.MAX_TOKENS


def test_prompts_are_read_in_pieces_between_the_steps_of_what_runs() -> None:
    machine = Machine(ScriptedRunner(pages=200, context=300, costs=Costs(call=2, token=0.5, step=4)))
    machine.ask(ids(5), 20)
    machine.step()
    machine.ask(ids(200), 2)
    machine.finish()
    assert machine.runner.prefilled == [5, 56, 56, 56, 32]
    assert machine.runner.order[:8] == ["prefill", "decode"] * 4
    assert machine.loop.statistics().longest_delay_ms == pytest.approx(30)


def test_alone_a_prompt_is_read_in_larger_pieces() -> None:
    machine = Machine(ScriptedRunner(pages=200, context=300))
    machine.ask(ids(196), 2)
    machine.finish()
    assert machine.runner.prefilled == [196]


def test_of_too_many_that_decode_those_waited_for_are_always_in() -> None:
    machine = Machine(ScriptedRunner(rows=4, pages=200))
    urgent = [machine.ask(ids(4, 10 * n), 20) for n in range(2)]
    others = [machine.ask(ids(4, 100 + 10 * n), 40, level=SPECULATIVE) for n in range(6)]
    machine.step(8)
    before = [len(a.tokens) for a in (*urgent, *others)]
    machine.step(9)
    gained = [len(a.tokens) - b for a, b in zip((*urgent, *others), before, strict=True)]
    assert gained == [9, 9, *[3] * 6]


def test_equals_take_turns() -> None:
    machine = Machine(ScriptedRunner(rows=4, pages=300))
    answers = [machine.ask(ids(4, 10 * n), 50) for n in range(10)]
    machine.step(10)
    for _ in range(10):
        before = [len(a.tokens) for a in answers]
        machine.step(3)
        assert min(len(a.tokens) - b for a, b in zip(answers, before, strict=True)) >= 1


def test_cancelled_before_the_next_step() -> None:
    machine = Machine()
    waits, runs = machine.ask(ids(10), 30), machine.ask(ids(10, 50), 30)
    machine.step(3)
    told = len(runs.tokens)
    for answer in (waits, runs):
        machine.loop.cancel(answer.request)
    calls = machine.runner.calls
    machine.step()
    assert (waits.end, runs.end) == (End.CANCELLED, End.CANCELLED)
    assert (len(runs.tokens), machine.runner.calls) == (told, calls)


def test_no_pick_is_told_after_the_cancellation() -> None:
    machine = Machine()
    request = Request(ids(4), 10)
    picks: list[Pick] = []

    def take(pick: Pick) -> None:
        picks.append(pick)
        machine.loop.cancel(request)

    machine.loop.submit(request, take, lambda end: None)
    machine.finish()
    assert len(picks) == 1
    assert request.end is End.CANCELLED


# -- admission ------------------------------------------------------------------------------------------------


def small() -> Machine:
    """Room for 32 tokens."""
    return Machine(ScriptedRunner(pages=8, page_size=4, context=32))


def test_what_a_caller_waits_for_waits_for_memory_in_order_of_arrival() -> None:
    """Also the short one, for which there would be room at once: else a long one might never have its turn."""
    machine = Machine(ScriptedRunner(pages=10, page_size=4, context=32))
    answers = [machine.ask(ids(10), 7, session=str(n)) for n in range(3)]
    shorter = machine.ask(ids(2), 1)
    order = begun(machine, *answers, shorter)
    assert order == [0, 1, 2, 3]
    assert all(a.end is End.MAX_TOKENS for a in (*answers, shorter))


def test_the_urgent_are_admitted_before_the_others() -> None:
    machine = small()
    machine.ask(ids(20), 9)
    machine.step()
    guess = machine.ask(ids(20, 100), 9, level=SPECULATIVE)
    machine.step()
    urgent = machine.ask(ids(20, 200), 9)
    assert begun(machine, guess, urgent) == [1, 0]


def test_what_a_cancelled_one_held_is_had_in_the_same_step() -> None:
    machine = small()
    runs, waits = machine.ask(ids(20), 9), machine.ask(ids(20, 100), 9)
    machine.step()
    machine.loop.cancel(runs.request)
    machine.step()
    assert waits.tokens


def test_one_that_waits_is_cancelled_too() -> None:
    machine = small()
    machine.ask(ids(20), 9)
    waits = machine.ask(ids(20, 100), 9)
    machine.step()
    machine.loop.cancel(waits.request)
    machine.step()
    assert waits.end is End.CANCELLED


def test_what_is_still_being_read_gives_way_too() -> None:
    machine, heard = small(), clip()
    ahead = machine.ask([1, *heard.ids()[:19]], 9, clips=(heard,), level=LAST)
    machine.step()
    urgent = machine.ask(ids(20, 100), 9)
    machine.step()
    assert isinstance(ahead.end, GaveWay)
    assert urgent.tokens


def test_looks_ahead_give_way_first_then_guesses() -> None:
    machine = small()
    guess = machine.ask(ids(8), 9, level=SPECULATIVE, session="a")
    ahead = machine.ask(ids(8, 50), 5, level=LAST)
    machine.step(3)
    first = machine.ask(ids(10, 200), 7)
    machine.step()
    assert isinstance(ahead.end, GaveWay)
    assert guess.end is None
    second = machine.ask(ids(10, 300), 7)
    machine.step()
    assert isinstance(guess.end, GaveWay)
    machine.finish()
    assert all(a.tokens == alone(a.request, 32) for a in (first, second))
    assert machine.loop.statistics().gave_way == 2


def test_nobody_gives_way_in_vain() -> None:
    machine = small()
    runs = machine.ask(ids(16), 9)
    guess = machine.ask(ids(4, 50), 4, level=SPECULATIVE)
    machine.step(2)
    machine.ask(ids(10, 200), 7)
    machine.step()
    assert runs.end is None
    assert guess.end is None


def test_a_released_guess_no_longer_gives_way() -> None:
    machine = small()
    guess = machine.ask(ids(16), 9, level=SPECULATIVE)
    machine.step()
    guess.request.urgency.release()
    late = machine.ask(ids(10, 200), 7)
    machine.finish()
    assert guess.end is late.end is End.MAX_TOKENS


def test_too_long_for_the_context() -> None:
    with pytest.raises(ModelsError, match=r"33 tokens .* 32 tokens of models\.context_tokens"):
        small().ask(ids(32), 1)


def test_too_long_for_the_memory() -> None:
    machine = Machine(ScriptedRunner(pages=4, page_size=4, context=32))
    with pytest.raises(ModelsError, match=r"models\.gpu_memory_gb"):
        machine.ask(ids(16), 1)
    answer = machine.ask(ids(14), 10)
    machine.finish()
    assert answer.end is End.CONTEXT
    assert len(answer.tokens) == 2


def test_a_prompt_without_ids_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="without a prompt"):
        small().ask([], 1)


def test_more_than_may_wait_are_turned_away() -> None:
    machine = Machine(ScriptedRunner(pages=8, page_size=4, context=32), max_waiting=2)
    runs = machine.ask(ids(24), 8)
    guess = machine.ask(ids(24, 100), 8, level=SPECULATIVE)
    machine.step()
    waits = [machine.ask(ids(24, 200 + 100 * n), 8) for n in range(2)]
    machine.step()
    assert isinstance(guess.end, GaveWay)
    late = machine.ask(ids(24, 400), 8)
    machine.step()
    assert isinstance(late.end, ModelsError)
    assert not isinstance(late.end, GaveWay)
    assert "try again" in str(late.end)
    machine.finish()
    assert all(a.end is End.MAX_TOKENS for a in (runs, *waits))


def test_between_two_steps_no_more_are_taken_than_may_wait() -> None:
    machine = Machine(max_waiting=2)
    for _ in range(3):
        machine.ask(ids(3))
    with pytest.raises(ModelsError, match="try again"):
        machine.ask(ids(3))


# -- failures -------------------------------------------------------------------------------------------------


def test_a_failed_call_ends_those_it_was_for_and_no_other() -> None:
    machine = Machine()
    runs = machine.ask(ids(5), 10)
    machine.step()
    machine.runner.fails = {machine.runner.calls + 1}
    fails = machine.ask(ids(5, 50), 10, session="a")
    machine.finish()
    assert str(fails.end) == "Voxtral failed (Failure)"
    assert runs.tokens == alone(runs.request, 64)
    assert machine.pages_in_use == 0
    assert machine.loop.statistics().failures == 1


def test_a_failed_step_ends_its_rows() -> None:
    machine = Machine()
    answers = [machine.ask(ids(5, 20 * n), 10, session=str(n)) for n in range(2)]
    machine.step(3)
    machine.runner.fails = {machine.runner.calls + 1}
    machine.step()
    assert all(isinstance(a.end, ModelsError) for a in answers)
    assert machine.loop.statistics().pages_free == 64, "what a failed call wrote is relied on"


def test_a_failed_encoding_ends_all_that_hear_the_clip() -> None:
    machine, heard = Machine(), clip()
    machine.runner.fails = {2}
    answers = [machine.ask([n, *heard.ids()[:5]], clips=(heard,)) for n in range(2)]
    other = machine.ask(ids(5))
    machine.finish()
    assert all(isinstance(a.end, ModelsError) for a in answers)
    assert other.end is End.MAX_TOKENS
    again = machine.ask([1, *heard.ids()[:5]], clips=(heard,))
    machine.finish()
    assert again.tokens == alone(again.request, 64)


def test_a_failed_encoding_ends_also_those_that_wait_for_memory() -> None:
    machine, heard = small(), clip()
    machine.runner.fails = {1}
    reply, transcript = (machine.ask([n, *heard.ids()[:19]], 9, clips=(heard,)) for n in range(2))
    machine.step()
    assert isinstance(reply.end, ModelsError)
    assert isinstance(transcript.end, ModelsError)


def test_a_failed_encoding_is_told_to_those_it_was_for() -> None:
    machine, guessed, urgent = Machine(), clip(), clip()
    guess = machine.ask([1, *guessed.ids()[:5]], clips=(guessed,), level=SPECULATIVE)
    machine.step()
    answer = machine.ask([1, *urgent.ids()[:5]], clips=(urgent,))
    machine.runner.fails = {2}
    machine.finish()
    assert isinstance(guess.end, ModelsError)
    assert answer.tokens == alone(answer.request, 64)


def test_out_of_memory_says_what_to_lower() -> None:
    machine = Machine()
    machine.runner.fails, machine.runner.failure = {1}, RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    answer = machine.ask(ids(5))
    machine.finish()
    assert "lower models.gpu_memory_gb or models.context_tokens" in str(answer.end)


def test_after_three_failures_in_a_row_all_ends_and_the_host_is_told() -> None:
    machine = Machine()
    machine.runner.fails = {1, 2, 3}
    answers = [machine.ask(ids(5, 20 * n)) for n in range(5)]
    machine.finish()
    assert all(isinstance(a.end, ModelsError) for a in answers)
    machine.step(2)
    assert [str(error) for error in machine.broken] == [str(answers[4].end)]
    with pytest.raises(ModelsError, match="started again"):
        machine.ask(ids(5))


def test_failures_that_are_not_in_a_row_break_nothing() -> None:
    machine = Machine()
    runs = machine.ask(ids(5), 10)
    machine.step()
    for n in range(4):
        machine.runner.fails = {machine.runner.calls + 1}
        machine.ask(ids(5, 20 + 20 * n))
        machine.step()
    machine.finish()
    assert not machine.broken
    assert runs.tokens == alone(runs.request, 64)


def test_a_reader_that_fails_ends_only_itself() -> None:
    machine = Machine()
    other, request = machine.ask(ids(5), 10), Request(ids(5), 10)

    def take(pick: Pick) -> None:
        raise RuntimeError("no")

    machine.loop.submit(request, take, lambda end: take(Pick(0, 0)))
    machine.finish()
    assert isinstance(request.end, ModelsError)
    assert other.tokens == alone(other.request, 64)
    assert machine.pages_in_use == 0


# -- the whole ------------------------------------------------------------------------------------------------


def test_closing_ends_everything() -> None:
    machine, heard = Machine(), clip()
    answers = [machine.ask(ids(5), 30), machine.ask([1, *heard.ids()[:5]], clips=(heard,))]
    machine.step(2)
    answers.append(machine.ask(ids(5)))
    machine.loop.close()
    machine.check()
    assert [str(a.end) for a in answers] == ["Voxtral is being closed"] * 3
    assert machine.runner.given_up == [heard.key]
    with pytest.raises(ModelsError, match="closed"):
        machine.ask(ids(5))


def test_statistics() -> None:
    machine, heard = Machine(ScriptedRunner(pages=16)), clip()
    machine.ask([*heard.ids()[:10], 4], 5, clips=(heard,), session="a")
    machine.ask(ids(40), 20)
    machine.step(STAGES + 1)
    now = machine.loop.statistics()
    assert (now.waiting, now.running, now.encoded, now.prefilled, now.tokens, now.steps) == (1, 1, 1, 11, 2, 1)
    machine.finish()
    now = machine.loop.statistics()
    assert (now.waiting, now.running, now.prefilled, now.tokens) == (0, 0, 51, 25)
    assert now.pages_free + now.pages_idle == now.pages == 16
    machine.loop.forget_delays()
    assert machine.loop.statistics().longest_delay_ms == 0
    assert machine.loop.usage("nobody") is None


def test_the_hash_of_the_scripted_runner_sees_every_id() -> None:
    """Else the tests of cross-talk would show nothing."""
    prompts = [ids(10), [*ids(9), 7], [7, *ids(9)], ids(9)]
    assert len({tuple(alone(Request(prompt, 8), 64)) for prompt in prompts}) == 4
    assert token_after([1, 2], GREEDY) == token_after([1, 2], GREEDY)
