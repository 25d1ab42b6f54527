# Executed once, when the interpreter is installed. Everything that is imported here is there when a script begins.
import numpy, pandas, scipy, sklearn
import numpy.fft, numpy.linalg, numpy.random
import scipy.linalg, scipy.optimize, scipy.sparse.linalg, scipy.spatial, scipy.stats
import sklearn.cluster, sklearn.ensemble, sklearn.linear_model, sklearn.metrics
import sklearn.model_selection, sklearn.pipeline, sklearn.preprocessing
import matplotlib, matplotlib.pyplot, matplotlib.backends.backend_agg, matplotlib.backends.backend_pdf, matplotlib.backends.backend_svg
import statsmodels.api, statsmodels.formula.api
import atexit, collections, csv, datetime, gc, glob, io, json, linecache, logging, math, os, pathlib, pkgutil, random, re
import runpy, statistics, sys, types
import asyncio, asyncio.selector_events
import pandas.io.feather_format, pandas.io.parquet
import _reactor

# Zstandard, which the interpreter was built without. Parquet and Arrow, where pandas finds neither pyarrow nor fastparquet. Pools without
# threads.
for name in ("zstd", "parquet", "arrow", "pools"):
    module = types.ModuleType(f"cloister_{name}")
    with open(f"/usr/local/lib/{name}.py") as file:
        exec(compile(file.read(), f"{name}.py", "exec"), vars(module))
    sys.modules[module.__name__] = module
    module.install()

# An event loop has a pair of sockets by which other threads wake it. There are neither.
def no_self_pipe(self):
    self._ssock = self._csock = None

asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe = no_self_pipe
asyncio.selector_events.BaseSelectorEventLoop._close_self_pipe = no_self_pipe

def end_quickly(run):
    """Ends the process after a script as an interpreter does for all to see, without taking every module apart."""
    def run_and_end(*arguments):
        code = run(*arguments)
        try:
            atexit._run_exitfuncs()
        except BaseException:
            pass
        main = sys.modules.get("__main__")
        if main is not None:
            vars(main).clear()
        sys.last_exc = sys.last_value = sys.last_traceback = None
        # What was imported above is frozen: it is neither collected nor listed.
        gc.collect()
        for found in gc.get_objects():
            if isinstance(found, io.IOBase) and not found.closed:
                try:
                    found.flush()
                except Exception:
                    pass
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(code)
    return run_and_end

_reactor.run = end_quickly(_reactor.run)
