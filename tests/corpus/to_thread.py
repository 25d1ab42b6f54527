import asyncio


async def main():
    loop = asyncio.get_running_loop()
    print(await asyncio.to_thread(abs, -4), await loop.run_in_executor(None, pow, 2, 5))


asyncio.run(main())
