package mutants

import "testing"

// TestMutantsCanBePlanted holds mutants.txt against the source as it is.
func TestMutantsCanBePlanted(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Errorf("there are %d planted faults, not 20", len(all))
	}
	for _, m := range all {
		if _, err := m.Plant("../../.."); err != nil {
			t.Error(err)
		}
	}
}

func TestMutantThatDoesNotFitIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"nothing to replace":  "\n== x\nfile go.mod\n+ a",
		"no file":             "\n== x\n- a\n+ b",
		"no change":           "\n== x\nfile go.mod",
		"a word that is none": "\n== x\nfile go.mod\nremove a",
		"twice":               "\n== x\nfile go.mod\n- a\n+ b\n\n== x\nfile go.mod\n- a\n+ b",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	all, err := parse("\n== x\nfile go.mod\n- no such text\n+ b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all[0].Plant("../../.."); err == nil {
		t.Error("a text that is not there was replaced")
	}
}
