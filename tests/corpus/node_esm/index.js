#!/usr/bin/env node
import { readFileSync } from 'fs';
import { readFile, writeFile } from 'node:fs/promises';
import path, { basename } from 'node:path';
import { fileURLToPath } from 'url';
import round, { half } from 'rounding';
import units from 'units';
import { columns } from './lib/columns.mjs';
import names from './lib/names.json' with { type: 'json' };
import * as table from './lib/table.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const unit = readFileSync(new URL('./lib/unit.txt', import.meta.url), 'utf8').trim();
const rows = table.parse(await readFile('/data/inputs/penguins/0', 'utf8'));
console.log(here, basename(import.meta.filename), unit, names.title, columns(rows[0]));
// import 'nothing' is a comment, and this is a text:
console.log("import x from 'nothing'", round(half(rows[0].mass)), units.gram);
for (const kind of ['first', 'last']) {
    const { pick } = await import(`./lib/${kind}.js`);
    console.log(kind, pick(rows).mass);
}
await writeFile('/data/outputs/species.json', JSON.stringify([...new Set(rows.map(row => row.species))]));
await import('absent').catch(error => console.log(error.code));
