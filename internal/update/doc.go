// Package update keeps the data directory current: the folder of feeds, as
// they were published, and the datasets that were built from them.
//
// [Updater.Run] asks every publisher with a conditional request, reads what
// came before it replaces what is there, and keeps the last good copy of a
// feed that failed, shrank, or turned into something else. One feed never
// fails another. [Folder] reads such a folder, and [Assemble] turns it into
// the inputs of a build. [Install] lets a new dataset pass the sanity gate and
// switches to it.
package update
