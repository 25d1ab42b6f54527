// Counts the rows of every table.
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const { DIDS, INPUTS, OUTPUTS } = process.env;

/** The rows of one table, without the header. Line by line, because it may be larger than the memory. */
async function count(file) {
  let lines = 0;
  for await (const line of readline.createInterface({ input: fs.createReadStream(file) })) {
    if (line !== '') lines += 1;
  }
  return Math.max(lines - 1, 0);
}

async function main() {
  // Parameters are in /data/inputs/algoCustomData.json.
  let rows = 0;
  for (const did of JSON.parse(DIDS)) {
    for (const file of fs.readdirSync(path.join(INPUTS, did))) {
      rows += await count(path.join(INPUTS, did, file));
    }
  }
  fs.writeFileSync(path.join(OUTPUTS, 'rows.json'), `{ "rows": ${rows} }\n`);
  console.log('counted', rows, 'rows');
}

main();
