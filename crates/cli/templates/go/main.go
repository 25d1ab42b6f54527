// Counts the rows of every table.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	rows, err := count()
	if err != nil {
		log.Fatal(err)
	}
	result := fmt.Sprintf("{ \"rows\": %d }\n", rows)
	if err := os.WriteFile(filepath.Join(os.Getenv("OUTPUTS"), "rows.json"), []byte(result), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println("counted", rows, "rows")
}

func count() (int, error) {
	// DIDS is a JSON list, such as ["sample"]. Parameters are in /data/inputs/algoCustomData.json.
	var dids []string
	if err := json.Unmarshal([]byte(os.Getenv("DIDS")), &dids); err != nil {
		return 0, err
	}
	rows := 0
	for _, did := range dids {
		files, err := filepath.Glob(filepath.Join(os.Getenv("INPUTS"), did, "*"))
		if err != nil {
			return 0, err
		}
		for _, file := range files {
			lines, err := countLines(file)
			if err != nil {
				return 0, err
			}
			rows += max(lines-1, 0) // without the header
		}
	}
	return rows, nil
}

// Line by line, because a table may be larger than the memory.
func countLines(path string) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines, scanner := 0, bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 64*1024), 16*1024*1024)
	for scanner.Scan() {
		lines++
	}
	return lines, scanner.Err()
}
