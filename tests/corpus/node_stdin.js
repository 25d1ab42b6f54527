let bytes = 0;
process.stdin.on('data', piece => { bytes += piece.length; });
process.stdin.on('end', () => console.log('read', bytes));
