const fs = require('fs');
const path = require('path');
const { largest } = require('./lib/largest');
const { columns } = require('./columns.json');

const table = fs.readFileSync('/data/inputs/penguins/0', 'utf8').trim().split('\n').slice(1).map(line => line.split(','));
const units = fs.readFileSync(path.join(__dirname, 'lib', 'units.txt'), 'utf8').trim();
console.log(columns.map((name, i) => `${name} ${largest(table.map(row => Number(row[i + 1])))}`).join(', '), units);
