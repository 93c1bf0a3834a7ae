package update

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"
)

var dateText = regexp.MustCompile(`\b(\d{4}-\d{2}(?:-\d{2})?)\b`)

// readSources reads the dates of a folder that describes itself in a table of
// Markdown whose columns include "file" and "snapshot date". A file that is
// not there is no error: most folders have none.
func readSources(name string, dates map[string]time.Time) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fileAt, dateAt := -1, -1
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() {
		cells := tableCells(lines.Text())
		if cells == nil {
			fileAt, dateAt = -1, -1 // the table has ended
			continue
		}
		if fileAt < 0 {
			for i, c := range cells {
				switch strings.ToLower(c) {
				case "file":
					fileAt = i
				case "snapshot date":
					dateAt = i
				}
			}
			continue
		}
		if dateAt < 0 || max(fileAt, dateAt) >= len(cells) {
			continue
		}
		if d, ok := earliestDate(cells[dateAt]); ok {
			path := cells[fileAt]
			dates[path] = d
			dates[strings.TrimSuffix(path, ".gz")] = d
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// tableCells splits a row of a Markdown table; nil when the line is none. An
// escaped bar does not end a cell.
func tableCells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	const bar = "\x00"
	line = strings.Trim(strings.ReplaceAll(line, `\|`, bar), "|")
	cells := strings.Split(line, "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, bar, "|"))
	}
	return cells
}

// earliestDate returns the first date of a cell such as "2026-08-22 21:13 UTC"
// or "2025-10 to 2026-04": data is never called newer than it surely is.
func earliestDate(cell string) (time.Time, bool) {
	for _, m := range dateText.FindAllString(cell, -1) {
		for _, layout := range [...]string{time.DateOnly, "2006-01"} {
			if t, err := time.Parse(layout, m); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}
