package deploytest

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGitHub: the workflow is one, and runs the script.
func TestGitHub(t *testing.T) {
	var workflow struct {
		Name        string         `yaml:"name"`
		On          map[string]any `yaml:"on"`
		Concurrency struct {
			Cancel *bool `yaml:"cancel-in-progress"`
		} `yaml:"concurrency"`
		Jobs map[string]struct {
			RunsOn  []string          `yaml:"runs-on"`
			Timeout int               `yaml:"timeout-minutes"`
			Env     map[string]string `yaml:"env"`
			Steps   []struct {
				Uses string `yaml:"uses"`
				Run  string `yaml:"run"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	load(t, filepath.Join(deploy, "ci", "github-actions.yaml"), &workflow)
	job, ok := workflow.Jobs["rollout"]
	if !ok || len(workflow.On) == 0 || len(job.RunsOn) == 0 || job.Timeout <= 60 || workflow.Concurrency.Cancel == nil || *workflow.Concurrency.Cancel {
		t.Errorf("the workflow: %+v", workflow)
	}
	wantVariables(t, job.Env)
	runs := 0
	for _, step := range job.Steps {
		if strings.Contains(step.Run, "${{") {
			t.Errorf("a step puts foreign words into its script: %s", step.Run)
		}
		if strings.HasPrefix(step.Run, "./rollout.sh rollout.yaml ") {
			runs++
		}
		if out, err := shell(t, step.Run); err != nil {
			t.Errorf("%s: %v\n%s", step.Run, err, out)
		}
	}
	if runs != 1 {
		t.Errorf("the script is run %d times", runs)
	}
}

// TestGitLab: the job is one, and runs the script.
func TestGitLab(t *testing.T) {
	var file struct {
		Stages []string `yaml:"stages"`
		Job    struct {
			Stage         string            `yaml:"stage"`
			Group         string            `yaml:"resource_group"`
			Interruptible *bool             `yaml:"interruptible"`
			Rules         []map[string]any  `yaml:"rules"`
			Variables     map[string]string `yaml:"variables"`
			Script        []string          `yaml:"script"`
			Allow         struct {
				Codes []int `yaml:"exit_codes"`
			} `yaml:"allow_failure"`
		} `yaml:"rollout"`
	}
	load(t, filepath.Join(deploy, "ci", "gitlab-ci.yaml"), &file)
	job := file.Job
	if !slices.Contains(file.Stages, job.Stage) || job.Group == "" || job.Interruptible == nil || *job.Interruptible || len(job.Rules) == 0 {
		t.Errorf("the job: %+v", job)
	}
	wantVariables(t, job.Variables)
	if len(job.Script) != 1 || !strings.HasPrefix(job.Script[0], "./rollout.sh rollout.yaml ") {
		t.Errorf("it runs %q", job.Script)
	}
	if slices.Contains(job.Allow.Codes, 3) {
		t.Error("a rollback does not fail the pipeline")
	}
	if out, err := shell(t, job.Script...); err != nil {
		t.Errorf("%q: %v\n%s", job.Script, err, out)
	}
}

// TestScript: any shell takes the script.
func TestScript(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "sh", "-n", filepath.Join(deploy, "ci", "rollout.sh")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// wantVariables: a job that is run again starts nothing twice, and who and why
// are on record.
func wantVariables(t *testing.T, have map[string]string) {
	t.Helper()
	for _, name := range []string{"SERIN_ID", "SERIN_BY", "SERIN_REASON"} {
		if have[name] == "" {
			t.Errorf("%s is not set: %v", name, have)
		}
	}
}

// shell has a shell read commands, and not run them.
func shell(t *testing.T, commands ...string) ([]byte, error) {
	t.Helper()
	return exec.CommandContext(t.Context(), "sh", "-n", "-c", strings.Join(commands, "\n")).CombinedOutput()
}
