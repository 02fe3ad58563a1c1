package deploytest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/metrics"
)

var (
	// selected is a metric with the labels that it is selected by.
	selected = regexp.MustCompile(`\b(serin_[a-z0-9_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	// grouped is a word with the labels that it names in parentheses.
	grouped = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	// pooled is an aggregation that leaves no label.
	pooled = regexp.MustCompile(`\b(?:sum|min|max|avg|count|group|stddev|stdvar|quantile)\s*\(`)
	// listed is a query for a label's values, of Grafana.
	listed = regexp.MustCompile(`\blabel_values\((?:(.*),)?([^,)]*)\)`)
	// shown is a label in a legend of Grafana, or in a text of Prometheus.
	shown = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)
)

// series is a metric under a name that a query may use.
type series struct {
	metrics.Definition

	extra string // the label that its kind adds
}

func (s series) has(label string) bool {
	return slices.Contains([]string{"instance", "job"}, label) || label == s.extra || slices.Contains(s.Labels, label)
}

// selectedSlips are the labels in braces that their metrics do not have.
func selectedSlips(query string) (found []string) {
	known := defined()
	for _, m := range selected.FindAllStringSubmatch(query, -1) {
		for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !known[m[1]].has(label[1]) {
				found = append(found, m[1]+" has no label "+label[1])
			}
		}
	}
	return found
}

// groupedSlips are the labels after by, on and their like that are not there.
func groupedSlips(query string) (found []string) {
	for _, at := range grouped.FindAllStringSubmatchIndex(query, -1) {
		word, labels := query[at[2]:at[3]], names(query[at[4]:at[5]])
		switch word {
		case "by", "without":
			argument := parenthesised(query[at[1]:])
			if argument == "" {
				found = append(found, word+" stands behind what it groups; write it before")
			}
			found = append(found, lacking(argument, labels)...)
		case "on", "ignoring":
			found = append(found, missing(query, labels)...)
		default: // one of the two sides has it
			for _, label := range labels {
				if len(missing(query, []string{label})) == len(metricName.FindAllString(query, -1)) {
					found = append(found, "no metric in it has the label "+label)
				}
			}
		}
	}
	return found
}

// listedSlips are the labels of label_values() that are not there.
func listedSlips(query string) (found []string) {
	for _, m := range listed.FindAllStringSubmatch(query, -1) {
		found = append(found, lacking(m[1], names(m[2]))...)
	}
	return found
}

// shownSlips are the labels in a text that a query's answers do not have.
func shownSlips(query, text string) (found []string) {
	query = unscaled(query)
	var left []string // by what is grouped
	for _, m := range grouped.FindAllStringSubmatch(query, -1) {
		left = append(left, names(m[2])...)
	}
	for _, m := range shown.FindAllStringSubmatch(text, -1) {
		if slices.Contains(left, m[1]) {
			continue
		}
		if left != nil || pooled.MatchString(query) || len(missing(query, m[1:])) > 0 {
			found = append(found, "the answer has no label "+m[1])
		}
	}
	return found
}

// lacking are the labels that what is grouped does not have: its metrics do not, or
// an aggregation in it has left them out.
func lacking(argument string, labels []string) []string {
	found := missing(argument, labels)
	for _, inner := range grouped.FindAllStringSubmatch(argument, -1) {
		for _, label := range labels {
			if inner[1] == "by" && !slices.Contains(names(inner[2]), label) {
				found = append(found, "by ("+inner[2]+") leaves no label "+label)
			}
		}
	}
	if all := pooled.FindString(argument); all != "" && len(labels) > 0 {
		found = append(found, all+"...) leaves no label "+strings.Join(labels, ", "))
	}
	return found
}

// missing says which metrics of an expression lack which of the labels.
func missing(expression string, labels []string) (found []string) {
	known := defined()
	for _, name := range metricName.FindAllString(expression, -1) {
		for _, label := range labels {
			if !known[name].has(label) {
				found = append(found, name+" has no label "+label)
			}
		}
	}
	return found
}

// names are what stands between commas.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// unscaled is a query without its numbers that have no labels: scalar(...).
func unscaled(query string) string {
	before, after, ok := strings.Cut(query, "scalar(")
	if !ok {
		return query
	}
	return before + "1" + unscaled(strings.TrimPrefix(after, parenthesised("("+after)+")"))
}

// parenthesised is what stands in the parentheses that a text begins with, if it
// begins so.
func parenthesised(text string) string {
	text = strings.TrimLeft(text, " \n")
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return strings.TrimPrefix(text[:i], "(")
		}
	}
	return ""
}
