// Package database has what the SQL databases of the platform share: transactions
// that end in time ([DB.Read], [DB.Write]), errors that say what they mean for the
// caller, the migrations, and the copy of one database into another ([Copy]). A
// statement that is written for it runs on SQLite and on PostgreSQL: parameters are
// $1, $2, …; columns are 64-bit numbers, texts and bytes. Packages sqlite and
// postgres open one.
package database
