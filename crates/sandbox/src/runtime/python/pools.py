"""Pools of threads and processes, where there is one thread: each task runs when it is given, and its result waits.

What programs do with pools most of the time goes on without a change: concurrent.futures, multiprocessing.Pool and asyncio.to_thread.
A task that waits for one that comes after it waits for ever.
"""
import asyncio.base_events, concurrent.futures, concurrent.futures.thread, multiprocessing, os, sys, types
from concurrent.futures import Future


def begun(pool):
    """Runs the initializer of a pool before its first task."""
    if pool.__dict__.setdefault("_is_begun", False) is False:
        pool._is_begun = True
        if pool._initializer is not None:
            pool._initializer(*pool._initargs)


def done(function, arguments, keywords):
    future = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(function(*arguments, **keywords))
    except BaseException as error:
        future.set_exception(error)
    return future


def submit(self, fn, /, *args, **kwargs):
    if self._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    begun(self)
    return done(fn, args, kwargs)


class Executor(concurrent.futures.Executor):
    """In the place of ProcessPoolExecutor and, but for its name, of ThreadPoolExecutor."""

    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=(), **options):
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._max_workers, self._initializer, self._initargs, self._shutdown = max_workers or 1, initializer, initargs, False

    submit = submit

    def map(self, fn, *iterables, timeout=None, chunksize=1, **options):
        return super().map(fn, *iterables, timeout=timeout)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._shutdown = True


class ThreadPoolExecutor(Executor):
    def __init__(self, max_workers=None, thread_name_prefix="", initializer=None, initargs=(), **options):
        super().__init__(max_workers, None, initializer, initargs)


class ProcessPoolExecutor(Executor):
    pass


class AsyncResult:
    def __init__(self, future, callback=None, error_callback=None):
        self._future = future
        called = callback if self.successful() else error_callback
        if called is not None:
            called(future.exception() or future.result())

    def get(self, timeout=None):
        return self._future.result()

    def wait(self, timeout=None):
        pass

    def ready(self):
        return True

    def successful(self):
        return self._future.exception() is None


class Pool:
    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None):
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes, self._initializer, self._initargs, self._is_open = processes or 1, initializer, initargs, True

    def _check(self):
        if not self._is_open:
            raise ValueError("Pool not running")
        begun(self)

    def apply(self, func, args=(), kwds={}):
        self._check()
        return func(*args, **kwds)

    def map(self, func, iterable, chunksize=None):
        self._check()
        return [func(one) for one in iterable]

    def starmap(self, func, iterable, chunksize=None):
        self._check()
        return [func(*one) for one in iterable]

    def imap(self, func, iterable, chunksize=1):
        self._check()
        return map(func, iterable)

    imap_unordered = imap

    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):
        self._check()
        return AsyncResult(done(func, args, kwds), callback, error_callback)

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        self._check()
        return AsyncResult(done(self.map, (func, iterable), {}), callback, error_callback)

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        self._check()
        return AsyncResult(done(self.starmap, (func, iterable), {}), callback, error_callback)

    def close(self):
        self._is_open = False

    terminate = close

    def join(self):
        if self._is_open:
            raise ValueError("Pool is still running")

    def __enter__(self):
        self._check()
        return self

    def __exit__(self, *_):
        self.terminate()


class ThreadPool(Pool):
    def __init__(self, processes=None, initializer=None, initargs=()):
        super().__init__(processes, initializer, initargs)


async def shutdown_default_executor(self, timeout=None):
    """Of an event loop: it would wait for its pool in a thread."""
    self._executor_shutdown_called = True
    if self._default_executor is not None:
        self._default_executor.shutdown()


def install():
    """Puts them where programs look for them. What was imported before keeps what it has."""
    for place in (concurrent.futures, concurrent.futures.thread):
        place.ThreadPoolExecutor = ThreadPoolExecutor
    concurrent.futures.ProcessPoolExecutor = ProcessPoolExecutor
    pool = types.ModuleType("multiprocessing.pool")
    pool.Pool, pool.ThreadPool, pool.AsyncResult = Pool, ThreadPool, AsyncResult
    sys.modules[pool.__name__] = multiprocessing.pool = pool
    multiprocessing.Pool = Pool
    asyncio.base_events.BaseEventLoop.shutdown_default_executor = shutdown_default_executor
    multiprocessing.cpu_count = lambda: os.cpu_count() or 1
