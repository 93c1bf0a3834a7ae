// Runs duckdb.sql over requests.csv in the present folder, and prints the rows of its
// last statement as JSON. The tests use it; people run duckdb.
const fs = require('node:fs')
const path = require('node:path')
const { DuckDBInstance } = require('@duckdb/node-api')

async function main() {
  const db = await (await DuckDBInstance.create(':memory:')).connect()
  await db.run("CREATE TABLE requests AS SELECT * FROM read_csv('requests.csv', header = true, all_varchar = true)")
  const sql = fs.readFileSync(path.join(__dirname, 'duckdb.sql'), 'utf8')
  const last = await db.runAndReadAll(sql)
  const each = await db.runAndReadAll('SELECT ip, country, asn, as_name, anonymous FROM enriched ORDER BY ip')
  console.log(JSON.stringify({ counts: last.getRowsJson(), rows: each.getRowsJson() }))
}

main()
