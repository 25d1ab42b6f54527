import asyncio

async def main():
    await asyncio.sleep(0.01)
    return await asyncio.gather(double(1), double(2))

async def double(x):
    return 2 * x

print(asyncio.run(main()))
