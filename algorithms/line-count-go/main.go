// Counts the lines and bytes of every dataset file.
//
// Reads   every file of every dataset that the environment variable DIDS (a JSON list) names.
// Writes  counts.json: [{"dataset":"...","file":"0","lines":345,"bytes":15241}]
// Params  none
//
// Only the standard library. Compile with GOOS=wasip1 GOARCH=wasm, or natively; see scripts/go.sh.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
)

type count struct {
	Dataset string `json:"dataset"`
	File    string `json:"file"`
	Lines   uint64 `json:"lines"`
	Bytes   uint64 `json:"bytes"`
}

func folder(variable, otherwise string) string {
	if value, ok := os.LookupEnv(variable); ok {
		return value
	}
	return otherwise
}

func countFile(path string) (lines, size uint64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	buffer := make([]byte, 64*1024)
	last := byte('\n')
	for {
		read, err := file.Read(buffer)
		if read > 0 {
			lines += uint64(bytes.Count(buffer[:read], []byte{'\n'}))
			size += uint64(read)
			last = buffer[read-1]
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	// A last line without line end counts, too.
	if last != '\n' {
		lines++
	}
	return lines, size, nil
}

// Files are called 0, 1, 2 ...: 10 comes after 9.
func byNumber(names []string) func(a, b int) bool {
	return func(a, b int) bool {
		left, errLeft := strconv.ParseUint(names[a], 10, 64)
		right, errRight := strconv.ParseUint(names[b], 10, 64)
		if errLeft == nil && errRight == nil && left != right {
			return left < right
		}
		return names[a] < names[b]
	}
}

func run() error {
	var datasets []string
	if err := json.Unmarshal([]byte(os.Getenv("DIDS")), &datasets); err != nil {
		return fmt.Errorf("DIDS must be a JSON list such as [\"0a1b\"], not %q: %w", os.Getenv("DIDS"), err)
	}
	counts := []count{}
	for _, dataset := range datasets {
		directory := filepath.Join(folder("INPUTS", "/data/inputs"), dataset)
		entries, err := os.ReadDir(directory)
		if err != nil {
			return err
		}
		names := make([]string, 0, len(entries))
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		sort.Slice(names, byNumber(names))
		for _, name := range names {
			lines, size, err := countFile(filepath.Join(directory, name))
			if err != nil {
				return err
			}
			counts = append(counts, count{dataset, name, lines, size})
		}
	}
	text, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	// os.Create opens for reading and writing; in the sandbox, what it returns writes.
	file, err := os.Create(filepath.Join(folder("OUTPUTS", "/data/outputs"), "counts.json"))
	if err != nil {
		return err
	}
	if _, err := file.Write(append(text, '\n')); err != nil {
		return err
	}
	return file.Close()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
