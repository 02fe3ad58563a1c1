package haproxy

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is read does not depend on whether anything is quoted.
func TestStatQuotedAndPlain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.Permutation([]string{
			"pxname", "svname", "qcur", "scur", "stot", "econ", "eresp", "wretr", "wredis", "status", "hrsp_5xx", "req_tot", "mode", "algo", "other",
		}).Draw(t, "columns")
		table := [][]string{head}
		for k := range rapid.IntRange(0, 4).Draw(t, "rows") {
			row := make([]string, len(head))
			for i, name := range head {
				switch name {
				case "pxname":
					row[i] = "web"
				case "svname":
					row[i] = rapid.SampledFrom([]string{"FRONTEND", "BACKEND", "a" + strconv.Itoa(k)}).Draw(t, name)
				case "status":
					row[i] = rapid.SampledFrom([]string{"UP", "UP 1/2", "no check", "DRAIN", "DOWN", "MAINT"}).Draw(t, name)
				case "mode", "algo", "other":
					row[i] = rapid.SampledFrom([]string{"", "http", "tcp"}).Draw(t, name)
				default:
					row[i] = rapid.SampledFrom([]string{"", "0", "7", "9223372036854775807"}).Draw(t, name)
				}
			}
			table = append(table, row)
		}
		plain, err := parseStat(render(table, ""))
		if err != nil {
			t.Fatal(err)
		}
		quoted, err := parseStat(render(table, `"`))
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(plain, quoted) {
			t.Errorf("plain %+v, quoted %+v", plain, quoted)
		}
	})
}

// render puts the fields between quotes. A line may end with a comma or not.
func render(table [][]string, quote string) string {
	var b strings.Builder
	b.WriteString("# ")
	for _, row := range table {
		for i, f := range row {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(quote + f + quote)
		}
		b.WriteString(",\n")
	}
	return b.String()
}

func TestStatOfAServerThatSaysMuch(t *testing.T) {
	t.Parallel()
	text := "# pxname,svname,scur,stot,econ,eresp,wredis,status,hrsp_5xx,last_chk,\n" +
		"web,FRONTEND,1,99,,,,OPEN,3,,\n" +
		"web,a1,2,40,1,2,3,UP,4,\"L7STS/500, \"\"no\nway\"\"\",\n" +
		"web,BACKEND,5,60,,,,UP,6,,\n"
	got, err := parseStat(text)
	if err != nil {
		t.Fatal(err)
	}
	want := map[statKey]stat{
		{"web", "a1"}: {
			sessions: 2, up: true, Totals: Totals{Errors5xx: 4},
			Counters: Counters{Requests: 38, Errors5xx: 4, ResponseErrors: 2, ConnectErrors: 1, Redispatches: 3},
		},
		{"web", "BACKEND"}: {sessions: 5, up: true, Totals: Totals{Errors5xx: 6}, Counters: Counters{Requests: 55, Errors5xx: 6}},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStatThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "EOF", "# pxname,svname,stot\nweb,a1,3\n": "no column hrsp_5xx"} {
		if got, err := parseStat(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
