import asyncio

async def main():
    await asyncio.sleep(0.01)
    print(await asyncio.gather(double(1), double(2)))
    try:
        await asyncio.wait_for(asyncio.sleep(10), timeout=0.1)
    except TimeoutError:
        print("late")

async def double(x):
    await asyncio.sleep(0)
    return 2 * x

asyncio.run(main())
