package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/serin-rollouts/serin/internal/specfile"
)

const rolloutIntro = `# The rollout file

<!-- Written by "make generate" from the types that the file is read into. -->

YAML or JSON. Needed are ` + "`service`, `image` and `container.port`" + `; ` + "`serin init`" + ` writes a file to begin with, ` + "`serin check FILE`" + ` tells
what is wrong with one, and [README.md](../README.md#a-rollout-file) explains the whole. Editors complete and check the file by
[rollout.schema.json](rollout.schema.json), which ` + "`serin schema`" + ` prints, if it begins with a line such as

` + "```yaml" + `
# yaml-language-server: $schema=rollout.schema.json
` + "```" + `

Shares are written with a percent sign (` + "`0.5%`" + `), durations with units (` + "`1h30m`" + `). A list of gates may be one gate without the list,
or ` + "`off`" + `. ` + "`[]`" + ` in a name stands for each element of a list.

| key | type | |
|---|---|---|
`

// Private

func rolloutPage() ([]byte, error) {
	out := bytes.NewBufferString(rolloutIntro)
	for _, k := range specfile.Keys() {
		kind := k.Type
		if k.Enum != nil {
			kind = "`" + strings.Join(k.Enum, "`, `") + "`"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", k.Name, kind, strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	return out.Bytes(), nil
}
