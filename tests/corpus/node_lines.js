const fs = require('fs');
const readline = require('readline');

const groups = new Map();
const lines = readline.createInterface({ input: fs.createReadStream('/data/inputs/penguins/0'), crlfDelay: Infinity });
lines.on('line', line => {
  const [species, , mass] = line.split(',');
  if (species === 'species') return;
  groups.set(species, [...(groups.get(species) ?? []), Number(mass)]);
});
lines.on('close', () => {
  const out = fs.createWriteStream('/data/outputs/groups.csv');
  for (const [species, masses] of groups) out.write(`${species},${masses.length},${Math.max(...masses)}\n`);
  out.end(() => console.log('written'));
});
