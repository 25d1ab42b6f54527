// `EventEmitter` of the module `events`.

export class Emitter {
    #listeners = new Map();

    #add(name, listener, isFirst) {
        const list = this.#listeners.get(name) ?? [];
        this.#listeners.set(name, isFirst ? [listener, ...list] : [...list, listener]);
        return this;
    }

    on(name, listener) {
        return this.#add(name, listener, false);
    }

    addListener(name, listener) {
        return this.#add(name, listener, false);
    }

    prependListener(name, listener) {
        return this.#add(name, listener, true);
    }

    once(name, listener) {
        const once = (...values) => {
            this.off(name, once);
            listener.apply(this, values);
        };
        once.listener = listener;
        return this.on(name, once);
    }

    off(name, listener) {
        const list = this.#listeners.get(name) ?? [];
        const at = list.findLastIndex(other => other === listener || other.listener === listener);
        if (at >= 0) this.#listeners.set(name, list.toSpliced(at, 1));
        return this;
    }

    removeListener(name, listener) {
        return this.off(name, listener);
    }

    removeAllListeners(name) {
        if (name === undefined) this.#listeners.clear();
        else this.#listeners.delete(name);
        return this;
    }

    emit(name, ...values) {
        const list = this.#listeners.get(name) ?? [];
        if (list.length === 0 && name === 'error') throw values[0];
        for (const listener of list) listener.apply(this, values);
        return list.length > 0;
    }

    listeners(name) {
        return (this.#listeners.get(name) ?? []).map(listener => listener.listener ?? listener);
    }

    listenerCount(name) {
        return this.listeners(name).length;
    }

    eventNames() {
        return [...this.#listeners.keys()].filter(name => this.listenerCount(name) > 0);
    }

    setMaxListeners() {
        return this;
    }
}

Emitter.EventEmitter = Emitter;
Emitter.once = (emitter, name) =>
    new Promise((resolve, reject) => {
        emitter.once(name, (...values) => resolve(values));
        if (name !== 'error') emitter.once('error', reject);
    });
