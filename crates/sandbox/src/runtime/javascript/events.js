// Timers, and the order of things: first the script, then what promises wait for, then one timer, and so on until nothing is left.
import * as os from 'qjs:os';

const timers = new Map();
let lastId = 0;

class Timer {
    constructor(callback, delay, again, parameters) {
        if (typeof callback !== 'function') throw new TypeError('The "callback" argument must be of type function');
        delay = Number(delay);
        this.delay = delay >= 1 && delay < 2 ** 31 ? Math.trunc(delay) : 1;
        Object.assign(this, { callback, again, parameters, id: ++lastId, due: performance.now() + this.delay });
        timers.set(this.id, this);
    }

    ref() {
        return this;
    }

    unref() {
        this.isIdle = true;
        return this;
    }

    hasRef() {
        return !this.isIdle;
    }

    [Symbol.toPrimitive]() {
        return this.id;
    }
}

function clear(timer) {
    timers.delete(typeof timer === 'object' ? timer?.id : Number(timer));
}

export const Timers = {
    setTimeout: (callback, delay, ...parameters) => new Timer(callback, delay, false, parameters),
    setInterval: (callback, delay, ...parameters) => new Timer(callback, delay, true, parameters),
    setImmediate(callback, ...parameters) {
        const timer = new Timer(callback, 1, false, parameters);
        timer.due = 0;
        return timer;
    },
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
    queueMicrotask(callback) {
        Promise.resolve().then(callback);
    },
};

function next() {
    let first;
    for (const timer of timers.values()) {
        if (!first || timer.due < first.due) first = timer;
    }
    return first;
}

/// Called by the interpreter whenever it has executed one job of promises, or has none: a file can always be read, so it never waits.
let tick;
os.setReadHandler(os.open('/usr/local/lib/javascript/start.js', os.O_RDONLY), () => {
    const act = tick;
    tick = undefined;
    act?.();
});

/// Resolves when no promise has anything left to do: if a job that is added in one of these calls is done in the next, no other one was
/// waiting.
function settled(resolve) {
    const wait = () => {
        let done = false;
        let isFirst = true;
        const ask = () => {
            // One more call without a job: in between, the interpreter looks for rejected promises that nobody handles.
            if (done && isFirst) tick = resolve;
            else if (done) wait();
            else {
                isFirst = false;
                tick = ask;
            }
        };
        Promise.resolve().then(() => (done = true));
        tick = ask;
    };
    tick = wait;
}

/// Runs until nothing is left to do.
export async function run(fail) {
    for (;;) {
        await new Promise(settled);
        if (![...timers.values()].some(timer => !timer.isIdle)) return;
        const timer = next();
        const early = timer.due - performance.now();
        if (early > 0) os.sleep(Math.ceil(early));
        if (timer.again) timer.due = performance.now() + timer.delay;
        else timers.delete(timer.id);
        try {
            timer.callback(...timer.parameters);
        } catch (error) {
            fail(error);
        }
    }
}
