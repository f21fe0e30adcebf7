"""Virtual time moves when told, in order, and stands still while held."""

import asyncio

from agent.clock import RealClock, VirtualClock, held


async def test_sleepers_wake_in_order_of_time():
    clock, woken = VirtualClock(), list[tuple[float, str]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((round(clock.now(), 3), name))

    tasks = [asyncio.create_task(sleeper("b", 0.2, 0.2)), asyncio.create_task(sleeper("a", 0.1, 0.2))]
    await clock.advance(0.35)
    assert woken == [(0.1, "a"), (0.2, "b"), (0.3, "a")]
    await clock.advance(0.1)
    await asyncio.gather(*tasks)
    assert woken[-1] == (0.4, "b")


async def test_time_stands_still_while_held():
    clock = VirtualClock()

    async def compute() -> float:
        with held(clock):
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            return clock.now()

    task = asyncio.create_task(compute())
    await clock.advance(5)
    assert await task == 0.0
    assert clock.now() == 5


async def test_patience_ends():
    clock = VirtualClock(patience=0.02)
    clock.hold()
    await clock.advance(1)
    assert clock.now() == 1


async def test_a_cancelled_sleeper_is_passed_over():
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    task.cancel()
    await clock.advance(2)
    assert clock.now() == 2


async def test_real_time_goes_on():
    clock = RealClock()
    before, fine = clock.now(), clock.perf()
    with held(clock):
        await clock.sleep(0.01)
    assert clock.now() - before >= 0.009
    assert clock.perf() > fine
    assert clock.today().tzinfo is not None
