package readmetest

import (
	"bufio"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// natsPage has examples that the README's fleet runs, and a fleet with roles.
const natsPage = "docs/nats.md"

// block is one fenced block of a page. The words after the language say
// what is to be done with it:
//
//	file=NAME   it is that file; configurations and rollout files are checked
//	setup       run by bash before the fleet is there
//	test        lines with "$ " are run against the fleet, the others are what they have to print
//	roles       the same, of the fleet with roles
type block struct {
	page  string
	line  int // of its first line
	lang  string
	words []string
	lines []string
}

func (b block) has(word string) bool { return slices.Contains(b.words, word) }

// file returns the name in file=NAME; empty if there is none.
func (b block) file() string {
	for _, w := range b.words {
		if name, ok := strings.CutPrefix(w, "file="); ok {
			return name
		}
	}
	return ""
}

// at names a line of the block, counted from 0.
func (b block) at(line int) string { return fmt.Sprintf("%s:%d", b.page, b.line+line) }

func (b block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// readme returns README.md as a whole, and its fenced blocks.
func readme(t *testing.T) (text string, blocks []block) {
	t.Helper()
	return blocksOf(t, "README.md")
}

// blocksOf returns a page as a whole, and its fenced blocks.
func blocksOf(t *testing.T, page string) (text string, blocks []block) {
	t.Helper()
	text = read(t, page)
	var open *block
	lines := bufio.NewScanner(strings.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			words := append(strings.Fields(info), "")
			open = &block{page: page, line: number + 1, lang: words[0], words: words[1:]}
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block does not end", page, open.line)
	}
	return text, blocks
}

// command is one line of a console block, and what it has to print.
type command struct {
	at         string // page and line
	text       string
	background bool // ends in &; it prints while the next ones run
	want       []string
}

// console splits a block into its commands. One that ends in a backslash goes
// on in the next line.
func (b block) console(t *testing.T) []command {
	t.Helper()
	var commands []command
	continues := false
	for i, line := range b.lines {
		text, prompt := strings.CutPrefix(line, "$ ")
		switch last := len(commands) - 1; {
		case continues:
			commands[last].text += "\n" + line
		case prompt:
			commands = append(commands, command{at: b.at(i), text: text})
		case last < 0:
			t.Fatalf("%s: the block begins with output", b.at(0))
		case strings.TrimSpace(line) != "":
			commands[last].want = append(commands[last].want, line)
		}
		continues = strings.HasSuffix(line, `\`) && (prompt || continues)
	}
	for i, c := range commands {
		commands[i].text, commands[i].background = strings.CutSuffix(c.text, " &")
	}
	return commands
}

var digits = regexp.MustCompile(`[0-9]+`)

// pattern makes of a line of README.md what an actual line has to match: any
// number for a number, any white space for white space, anything for "...".
// A line of "..." alone stands for any number of lines.
func pattern(line string) *regexp.Regexp {
	var parts []string
	for part := range strings.SplitSeq(line, "...") {
		words := strings.Fields(part)
		for i, word := range words {
			words[i] = digits.ReplaceAllString(regexp.QuoteMeta(word), `[0-9]+`)
		}
		parts = append(parts, strings.Join(words, `\s+`))
	}
	return regexp.MustCompile(`^\s*` + strings.Join(parts, `.*`) + `\s*$`)
}

// missing returns the first wanted line that the output does not have, in
// order; empty if it has all of them.
func missing(output string, want []string) string {
	rest := strings.Split(output, "\n")
	for _, line := range want {
		if strings.TrimSpace(line) == "..." {
			continue
		}
		expression := pattern(line)
		found := false
		for len(rest) > 0 && !found {
			found = expression.MatchString(rest[0])
			rest = rest[1:]
		}
		if !found {
			return line
		}
	}
	return ""
}
