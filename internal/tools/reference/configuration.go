package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

const configurationIntro = `# Configuration of the daemons

<!-- Written by "make generate" from the programs themselves. -->

Each value comes from a flag, else a variable, else the YAML file that ` + "`--config`" + ` or ` + "`SERIN_CONFIG`" + ` names, else its default. The flag of
` + "`nats.urls`" + ` is ` + "`--nats-urls`" + `, its variable ` + "`SERIN_NATS_URLS`" + `. Unknown keys are errors. ` + "`--print-config`" + ` prints each value and where it comes
from, and ` + "`check`" + ` as a word behind the program tries what can be tried; neither starts anything. ` + "`serin init --cluster`" + ` writes
both files to begin with, [README.md](../README.md#install-on-real-hosts) has examples, and [cli.md](cli.md#serin) the settings of ` + "`serin`" + `.
`

// setting is one key of a configuration file.
type setting struct{ key, kind, doc, initial string }

// Private

func configurationPage() ([]byte, error) {
	out := bytes.NewBufferString(configurationIntro)
	for _, program := range []string{"serin-coordinator", "serin-agent"} {
		settings, err := settingsOf(program)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
		fmt.Fprintf(out, "\n## %s\n\n| key | type | default | |\n|---|---|---|---|\n", program)
		for _, s := range settings {
			fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", s.key, s.kind, s.initial, strings.ReplaceAll(s.doc, "|", `\|`))
		}
	}
	return out.Bytes(), nil
}

// settingsOf takes the keys from the source of a program, and the rest from its
// help.
func settingsOf(program string) ([]setting, error) {
	own, err := parseSource(filepath.Join("cmd", program))
	if err != nil {
		return nil, err
	}
	shared, err := parseSource("internal/daemon")
	if err != nil {
		return nil, err
	}
	keys := configurationKeys(own, shared, "settings", "")
	help, err := helpOf(program)
	if err != nil {
		return nil, err
	}
	var all []setting
	for _, key := range keys {
		flag := strings.NewReplacer(".", "-", "_", "-").Replace(key)
		line := regexp.MustCompile(`(?m)^ +--` + flag + ` ([a-z=]+ )? *(.*?) \(env [A-Z_]+\)(?: \(default (.*)\))?$`).FindSubmatch(help)
		if line == nil {
			return nil, fmt.Errorf("its help has no flag --%s", flag)
		}
		all = append(all, setting{key, typeOfFlag(strings.TrimSpace(string(line[1]))), string(line[2]), initialOf(string(line[3]))})
	}
	return all, nil
}

// configurationKeys lists the keys of a struct in their order, those of nested
// ones with their path.
func configurationKeys(own, shared *source, name, path string) []string {
	t := own.structs[name]
	if t == nil {
		t = shared.structs[name]
	}
	var keys []string
	for _, f := range t.Fields.List {
		key := reflect.StructTag(unquoted(f.Tag)).Get("yaml")
		switch inner := lastName(f.Type); {
		case key == "":
		case own.structs[inner] != nil || shared.structs[inner] != nil:
			keys = append(keys, configurationKeys(own, shared, inner, path+key+".")...)
		default:
			keys = append(keys, path+key)
		}
	}
	return keys
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func helpOf(program string) ([]byte, error) {
	top, err := repository()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), "go", "run", "-buildvcs=false", "./cmd/"+program, "--help")
	cmd.Dir = top
	help, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, help)
	}
	return help, nil
}

func typeOfFlag(word string) string {
	switch word {
	case "":
		return "true or false"
	case "string":
		return "text"
	case "int":
		return "whole number"
	case "key=value":
		return "names and values"
	}
	return word
}

// initialOf renders a default; that which is this machine's name, as what it is.
func initialOf(text string) string {
	if plain, err := strconv.Unquote(text); err == nil {
		text = plain
	}
	host, err := os.Hostname()
	switch {
	case text == "" || text == "0s":
		return ""
	case err == nil && text == host:
		return "the machine's name"
	}
	return "`" + text + "`"
}
