import { columns } from './columns.mjs';
export const isObject = row => typeof row === 'object';
export function parse(text) {
    const [header, ...rows] = text.trim().split('\n').map(line => line.split(','));
    const table = rows.map(row => Object.fromEntries(row.map((value, i) => [header[i], value])));
    if (columns(table[0]) !== header.length) throw new Error('a column is missing');
    return table;
}
