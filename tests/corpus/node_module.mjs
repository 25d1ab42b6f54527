import { readFile, writeFileSync } from 'node:fs';
import path from 'path';
import { promisify } from 'util';

const [did] = JSON.parse(process.env.DIDS);
const text = await promisify(readFile)(path.join(process.env.INPUTS, did, '0'), 'utf8');
const [header, ...rows] = text.trim().split('\n').map(line => line.split(','));
const mass = header.indexOf('mass');
const mean = rows.reduce((sum, row) => sum + Number(row[mass]), 0) / rows.length;
writeFileSync('/data/outputs/mean.json', JSON.stringify({ rows: rows.length, mean: Math.round(mean) }));
