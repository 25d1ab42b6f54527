const fs = require('node:fs');
const tally = require('tally');
const { mean } = require('@corpus/means');
const median = require('@corpus/means/median');

const { promises } = fs;

async function run() {
    const rows = (await promises.readFile('/data/inputs/penguins/0', 'utf8')).trim().split('\n').slice(1).map(row => row.split(','));
    const mass = rows.map(row => Number(row[2]));
    console.log(tally(rows.map(row => row[0])), mean(mass), median(mass));
    const { default: shout, left } = await import('shout');
    console.log(shout('done'), left('7', 3), require.resolve('tally').endsWith('node_modules/tally/tally.js'));
    for (const name of ['@corpus/means/lib/sorted.js', 'shout', 'absent']) {
        try {
            require(name);
        } catch (error) {
            console.log(name, error.code);
        }
    }
}

if (require.main === module) run();
