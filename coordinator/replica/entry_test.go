package replica

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

var update = flag.Bool("update", false, "write the golden entries anew; every release must still read them")

// every returns a zero command of each type.
func every() []rollout.Command {
	return []rollout.Command{
		rollout.Submit{},
		rollout.Refuse{},
		rollout.Advance{},
		rollout.Approve{},
		rollout.Pause{},
		rollout.Exclude{},
		rollout.Release{},
		rollout.Resume{},
		rollout.Promote{},
		rollout.RollBack{},
		rollout.Abort{},
		rollout.Finish{},
		rollout.Lose{},
		rollout.Raise{},
		rollout.Renew{},
		rollout.Freeze{},
		rollout.Thaw{},
		rollout.Tick{},
	}
}

func TestEntryRoundTrip(t *testing.T) {
	for _, zero := range every() {
		t.Run(typeName(zero), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				command := reflect.New(reflect.TypeOf(zero)).Elem()
				fill(t, command, 0)
				want := rollout.Entry{Command: command.Interface().(rollout.Command)}
				fill(t, reflect.ValueOf(&want.Stamp).Elem(), 0)
				data, err := encodeEntry(want)
				if errors.Is(err, ErrTooLarge) {
					t.Skip()
				}
				if err != nil {
					t.Fatal(err)
				}
				got, err := decodeEntry(data)
				if err != nil {
					t.Fatalf("decode %s: %v", data, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("changed in the log (-proposed +applied):\n%s", diff)
				}
			})
		})
	}
}

// fill draws a value of any type that commands are made of. Slices, maps and
// pointers are nil or not empty: the log does not tell empty from nil.
func fill(t *rapid.T, v reflect.Value, depth int) {
	some := func() bool { return depth < 6 && rapid.Bool().Draw(t, "some") }
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(t, f, depth+1)
		}
	case reflect.String:
		v.SetString(rapid.StringN(-1, 12, 40).Draw(t, "string"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		if v.Type() == reflect.TypeFor[analysis.Outcome]() {
			v.SetInt(rapid.Int64Range(int64(analysis.Wait), int64(analysis.Fail)).Draw(t, "outcome"))
			return
		}
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	case reflect.Pointer:
		if some() {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if some() {
			v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(1, 3).Draw(t, "len"), 3))
			for i := range v.Len() {
				fill(t, v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if some() {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, depth+1)
			fill(t, value, depth+1)
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(key, value)
		}
	default:
		t.Fatalf("commands have a %s now: teach this test to draw it", v.Type())
	}
}

func TestEntryRefusals(t *testing.T) {
	for data, want := range map[string]string{
		``:    "no JSON",
		`{}`:  "version 0",
		`[1]`: "no JSON",
		`{"v":2,"type":"advance","stamp":{},"command":{}}`:                        "version 2",
		`{"v":1,"type":"mirror","stamp":{},"command":{}}`:                         `"mirror"`,
		`{"v":1,"type":"resume","stamp":{},"command":{"speed":1}}`:                `"speed"`,
		`{"v":1,"type":"resume","stamp":{"zone":"x"},"command":{}}`:               `"zone"`,
		`{"v":1,"type":"resume","stamp":{},"command":{},"shard":1}`:               `"shard"`,
		`{"v":1,"type":"resume","stamp":{},"command":null}`:                       "empty",
		`{"v":1,"type":"resume","stamp":{}}`:                                      "empty",
		`{"v":1,"type":"resume","stamp":{},"command":{}}{}`:                       "no JSON",
		`{"v":1,"type":"resume","stamp":{},"command":{"epoch":-1}}`:               "epoch",
		`{"v":1,"type":"submit","stamp":{},"command":{"spec":{"gates":{"a":1}}}}`: `"a"`,
	} {
		if _, err := decodeEntry([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want one with %s", data, err, want)
		}
	}
}

func TestEntryTooLarge(t *testing.T) {
	e := submit("checkout", "k")
	c := e.Command.(rollout.Submit)
	c.Reason = strings.Repeat("x", MaxEntry)
	e.Command = c
	if _, err := encodeEntry(e); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error = %v, want ErrTooLarge", err)
	}
	if _, err := encodeEntry(rollout.Entry{}); err == nil {
		t.Error("an entry without a command was encoded")
	}
}

// Logs of earlier releases must stay readable, and mean what they meant.
func TestGoldenEntries(t *testing.T) {
	const path = "testdata/entries.jsonl"
	target := rollout.Target{Service: "checkout", Rollout: "checkout-1", Epoch: 7}
	why := rollout.Why{Cause: rollout.CauseGate, Text: "errors 3% over stable", Hosts: []string{"web-1"}}
	commands := []rollout.Command{
		submit("checkout", "k1").Command,
		rollout.Refuse{Key: "k2", Service: "checkout", Refusal: rollout.Refusal{Code: rollout.CodeImage, Field: "image", Message: "no such image"}},
		rollout.Advance{Target: target, Why: why, Baseline: rollout.Baseline{Requests: 1000, Errors: 2}},
		rollout.Approve{Target: target},
		rollout.Pause{Target: target, Why: why, Park: true},
		rollout.Exclude{Target: target, Host: "web-1", Why: why},
		rollout.Release{Service: "checkout", Host: "web-1"},
		rollout.Resume{Target: target},
		rollout.Promote{Target: target, Why: why},
		rollout.RollBack{Target: target, Why: why},
		rollout.Abort{Target: target, Reason: "wrong version"},
		rollout.Finish{Target: target, Lost: []string{"web-2"}, ZeroMillis: -1},
		rollout.Lose{Target: target, Hosts: []string{"web-2"}, Why: why},
		rollout.Raise{Level: 2},
		rollout.Renew{Target: target},
		rollout.Freeze{Service: rollout.Fleet, For: 8 * time.Hour, Reason: "release week"},
		rollout.Thaw{Service: "checkout", Over: 7},
		rollout.Tick{},
	}
	var lines []string
	for _, c := range commands {
		e := rollout.Entry{Stamp: rollout.Stamp{At: 90 * time.Second, Wall: 1_790_000_000_000, By: "c1", Confirmed: 3}, Command: c}
		data, err := encodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(data))
	}
	text := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), text); diff != "" {
		t.Errorf("entries are written differently (-golden +now):\n%s", diff)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		e, err := decodeEntry([]byte(line))
		if err != nil {
			t.Errorf("golden entry is refused: %v", err)
		} else if diff := cmp.Diff(commands[i], e.Command); diff != "" {
			t.Errorf("golden entry means something else (-want +got):\n%s", diff)
		}
	}
	if len(lines) != len(every()) || !json.Valid([]byte(lines[0])) {
		t.Errorf("%d golden entries for %d commands", len(lines), len(every()))
	}
}
