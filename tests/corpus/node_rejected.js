const fs = require('fs');
async function main() {
  await fs.promises.readFile('/data/inputs/penguins/missing.csv');
}
main();
