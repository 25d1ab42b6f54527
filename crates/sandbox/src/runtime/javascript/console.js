// `console`: every line is out when it is printed.
import * as std from 'qjs:std';
import { Buffer } from './buffer.js';

const NAME = /^[A-Za-z_$][\w$]*$/;
const DEPTH = 2;
const MOST_ITEMS = 100;
const LINE = 72;

function quote(text) {
    const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes('`') ? '`' : "'";
    let inside = JSON.stringify(text).slice(1, -1).replace(/\\"/g, '"');
    if (mark === "'") inside = inside.replace(/'/g, "\\'");
    else if (mark === '"') inside = inside.replace(/"/g, '\\"');
    return mark + inside + mark;
}

function entry(key, text) {
    if (typeof key === 'symbol') return `[${String(key)}]: ${text}`;
    return `${NAME.test(key) ? key : quote(key)}: ${text}`;
}

/// A value as `console.log` shows it.
export function inspect(value, options = {}) {
    const depth = options.depth === null ? Infinity : (options.depth ?? DEPTH);
    return shown(value, depth, [], 0);
}

function shown(value, depth, above, indent) {
    switch (typeof value) {
        case 'string':
            return quote(value);
        case 'bigint':
            return `${value}n`;
        case 'number':
            return Object.is(value, -0) ? '-0' : String(value);
        case 'function': {
            const kind = /^class\b/.test(Function.prototype.toString.call(value)) ? 'class' : 'Function';
            return kind === 'class' ? `[class ${value.name || '(anonymous)'}]` : `[Function${value.name ? `: ${value.name}` : ' (anonymous)'}]`;
        }
        case 'object':
            return value === null ? 'null' : object(value, depth, above, indent);
        default:
            return String(value);
    }
}

function object(value, depth, above, indent) {
    if (above.includes(value)) return '[Circular *1]';
    if (value instanceof Error) return error(value);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (value instanceof Promise) return 'Promise {}';
    if (value instanceof Buffer) {
        const bytes = Array.from(value.subarray(0, 50), byte => ` ${byte.toString(16).padStart(2, '0')}`).join('');
        return `<Buffer${bytes}${value.length > 50 ? ` ... ${value.length - 50} more bytes` : ''}>`;
    }
    const prototype = Object.getPrototypeOf(value);
    const name = prototype === null ? '[Object: null prototype]' : (value.constructor?.name ?? 'Object');
    const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
    if (depth < 0) return isList ? '[Array]' : `[${name}]`;
    const inside = [...above, value];
    const show = item => shown(item, depth - 1, inside, indent + 2);
    let parts = [];
    let prefix = '';
    let keys = Reflect.ownKeys(value).filter(key => Object.prototype.propertyIsEnumerable.call(value, key));
    if (isList) {
        prefix = Array.isArray(value) && name === 'Array' ? '' : `${name}(${value.length}) `;
        for (let i = 0; i < Math.min(value.length, MOST_ITEMS); i++) parts.push(i in value ? show(value[i]) : '<1 empty item>');
        if (value.length > MOST_ITEMS) parts.push(`... ${value.length - MOST_ITEMS} more items`);
        keys = keys.filter(key => typeof key === 'symbol' || !/^\d+$/.test(key));
    } else if (value instanceof Map) {
        prefix = `${name}(${value.size}) `;
        parts = [...value].map(([key, item]) => `${show(key)} => ${show(item)}`);
    } else if (value instanceof Set) {
        prefix = `${name}(${value.size}) `;
        parts = [...value].map(show);
    } else if (name !== 'Object') {
        prefix = `${name} `;
    }
    for (const key of keys) {
        const described = Object.getOwnPropertyDescriptor(value, key);
        const text = described.get ? (described.set ? '[Getter/Setter]' : '[Getter]') : show(described.value);
        parts.push(entry(key, text));
    }
    const [open, close] = isList ? ['[', ']'] : ['{', '}'];
    if (parts.length === 0) return `${prefix}${open}${close}`;
    const line = parts.join(', ');
    if (line.length + indent <= LINE && !line.includes('\n') && (!isList || parts.length <= 6 || parts.every(part => part.length <= 6))) {
        return `${prefix}${open} ${line} ${close}`;
    }
    const margin = ' '.repeat(indent + 2);
    return `${prefix}${open}\n${margin}${parts.join(`,\n${margin}`)}\n${' '.repeat(indent)}${close}`;
}

function error(value) {
    const stack = value.stack ? `\n${String(value.stack).trimEnd()}` : '';
    const more = Object.keys(value).filter(key => key !== 'stack' && key !== 'message');
    const fields = more.length ? ` ${shown(Object.fromEntries(more.map(key => [key, value[key]])), 1, [], 0)}` : '';
    return `${value}${stack}${fields}`;
}

/// The text that `console.log` prints for these values.
export function format(...values) {
    let text = '';
    if (typeof values[0] === 'string') {
        let next = 1;
        text = values[0].replace(/%[sdifjoOc%]/g, place => {
            if (place === '%%') return values.length > 1 ? '%' : place;
            if (next >= values.length) return place;
            const value = values[next++];
            switch (place) {
                case '%s':
                    return typeof value === 'string' ? value : inspect(value, { depth: 0 });
                case '%d':
                    return typeof value === 'bigint' ? `${value}n` : String(Number(value));
                case '%i':
                    return String(parseInt(value, 10));
                case '%f':
                    return String(parseFloat(value));
                case '%j':
                    return JSON.stringify(value);
                case '%c':
                    return '';
                default:
                    return inspect(value, { depth: 4 });
            }
        });
        values = values.slice(next);
        if (values.length) text += ' ';
    }
    return text + values.map(value => (typeof value === 'string' ? value : inspect(value))).join(' ');
}

const counts = new Map();
const times = new Map();
let margin = '';

function print(file, values) {
    const text = format(...values);
    file.puts(`${margin ? text.replace(/^/gm, margin) : text}\n`);
    file.flush();
}

function table(rows) {
    if (typeof rows !== 'object' || rows === null) return console.log(rows);
    const columns = [];
    const lines = Object.entries(rows).map(([index, row]) => {
        const isObject = typeof row === 'object' && row !== null;
        for (const column of isObject ? Object.keys(row) : ['Values']) {
            if (!columns.includes(column)) columns.push(column);
        }
        return [index, isObject ? row : { Values: row }];
    });
    const cells = [['(index)', ...columns]].concat(
        lines.map(([index, row]) => [index, ...columns.map(column => (column in row ? inspect(row[column]) : ''))]),
    );
    const widths = cells[0].map((_, i) => Math.max(...cells.map(line => line[i].length)) + 2);
    const rule = (left, middle, right) => left + widths.map(width => '─'.repeat(width)).join(middle) + right;
    const [head, ...body] = cells.map(line => `│${line.map((cell, i) => ` ${cell}`.padEnd(widths[i])).join('│')}│`);
    console.log([rule('┌', '┬', '┐'), head, rule('├', '┼', '┤'), ...body, rule('└', '┴', '┘')].join('\n'));
}

export const console = {
    log: (...values) => print(std.out, values),
    info: (...values) => print(std.out, values),
    debug: (...values) => print(std.out, values),
    error: (...values) => print(std.err, values),
    warn: (...values) => print(std.err, values),
    trace: (...values) => print(std.err, [`Trace: ${format(...values)}\n${new Error().stack.trimEnd()}`]),
    dir: (value, options) => print(std.out, [inspect(value, options)]),
    assert(holds, ...values) {
        if (!holds) print(std.err, [`Assertion failed${values.length ? `: ${format(...values)}` : ''}`]);
    },
    count(label = 'default') {
        counts.set(label, (counts.get(label) ?? 0) + 1);
        console.log(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = 'default') => counts.delete(label),
    group(...values) {
        if (values.length) console.log(...values);
        margin += '  ';
    },
    groupEnd() {
        margin = margin.slice(2);
    },
    table,
    time: (label = 'default') => times.set(label, performance.now()),
    timeLog(label = 'default') {
        console.log(`${label}: ${(performance.now() - times.get(label)).toFixed(3)}ms`);
    },
    timeEnd(label = 'default') {
        console.timeLog(label);
        times.delete(label);
    },
};
