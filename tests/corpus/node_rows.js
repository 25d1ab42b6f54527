#!/usr/bin/env node
const fs = require('fs')

const inputs = '/data/inputs'
const outputs = '/data/outputs'

async function countRows(file) {
  const text = fs.readFileSync(file).toString()
  const rows = text.split('\n').length - 1
  fs.appendFileSync(outputs + '/rows.log', file + ',' + rows + '\r\n')
  console.log('%s has %d lines', file, rows)
}

async function walk(folder) {
  for (const name of fs.readdirSync(folder)) {
    const file = folder + '/' + name
    if (fs.statSync(file).isDirectory()) await walk(file)
    else if (!name.endsWith('.json')) await countRows(file)
  }
}

walk(inputs)
