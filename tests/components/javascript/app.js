// A command as a WASI 0.2 component, made with componentize-js: sums a column of its dataset, then tries what the sandbox refuses.
// The engine has no files of its own, so the interfaces of WASI are imported and called.
import { getEnvironment } from 'wasi:cli/environment@0.2.0';
import { getDirectories } from 'wasi:filesystem/preopens@0.2.0';
import { createTcpSocket } from 'wasi:sockets/tcp-create-socket@0.2.0';
import { createUdpSocket } from 'wasi:sockets/udp-create-socket@0.2.0';

// An error of an interface is thrown, and holds its name.
function attempt(name, act) {
    try {
        console.log(`${name}: got ${String(act())}`);
    } catch (error) {
        console.log(`${name}: ${error.payload ?? error}`);
    }
}

export const run = {
    run() {
        const variables = Object.fromEntries(getEnvironment());
        const [did] = JSON.parse(variables.DIDS);
        const [[root]] = getDirectories();
        const input = `data/inputs/${did}/0`;
        const result = 'data/outputs/sum.json';

        const [bytes] = root.openAt({}, input, {}, { read: true }).read(1000n, 0n);
        const [header, ...rows] = new TextDecoder().decode(bytes).trim().split('\n').map((line) => line.split(','));
        const column = header.indexOf('mass');
        const sum = rows.reduce((sum, row) => sum + Number(row[column]), 0);
        const text = JSON.stringify({ rows: rows.length, sum });
        root.openAt({}, result, { create: true }, { write: true }).write(new TextEncoder().encode(text), 0n);
        console.log(`variables: ${Object.keys(variables).sort().join(' ')}`);

        for (const family of ['ipv4', 'ipv6']) {
            attempt(`TCP over ${family}`, () => createTcpSocket(family));
            attempt(`UDP over ${family}`, () => createUdpSocket(family));
        }
        attempt('change the dataset', () => root.openAt({}, input, {}, { write: true }));
        attempt('read an output', () => root.openAt({}, result, {}, { read: true }));
        attempt('read a file of the machine', () => root.openAt({}, 'etc/passwd', {}, { read: true }));
        attempt('leave the root', () => root.openAt({}, '../etc/passwd', {}, { read: true }));
    },
};
