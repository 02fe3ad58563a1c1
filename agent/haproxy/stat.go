package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// stat is a row of "show stat".
type stat struct {
	sessions int
	algo     string
	mode     string
	up       bool
	Counters
	Totals
}

type statKey struct{ proxy, server string }

// parseStat returns the rows of servers and of backends (server "BACKEND").
// Frontends are left out, since one may share a backend's name.
func parseStat(text string) (map[statKey]stat, error) {
	out := map[statKey]stat{}
	var cols *statColumns
	var headErr error
	err := eachRow(strings.TrimPrefix(text, "# "), func(row []string) {
		if cols == nil {
			cols, headErr = statColumnsOf(row)
			return
		}
		if name := field(row, cols.svname); name != "FRONTEND" {
			out[statKey{field(row, cols.pxname), name}] = cols.stat(row)
		}
	})
	if err == nil && cols == nil {
		err = io.EOF
	}
	if err := errors.Join(err, headErr); err != nil {
		return nil, fmt.Errorf("show stat: %w", err)
	}
	return out, nil
}

// Private

// eachRow calls f with each line's fields, which are valid during the call. A
// text without quotes, as nearly all are, needs no reader of quotes: it
// is read several times a second.
func eachRow(text string, f func([]string)) error {
	if strings.Contains(text, `"`) {
		return eachQuotedRow(text, f)
	}
	var row []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			row = slices.AppendSeq(row[:0], strings.SplitSeq(line, ","))
			f(row)
		}
	}
	return nil
}

func eachQuotedRow(text string, f func([]string)) error {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	r.LazyQuotes = true // a check may quote what a server said
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f(row)
	}
}

// statColumns are the positions of the columns that are used, -1 for one that
// is not there.
type statColumns struct {
	pxname, svname, status, algo, mode int
	qcur, scur, stot, hrsp5xx, reqTot  int
	eresp, econ, wredis, wretr         int
}

func statColumnsOf(head []string) (*statColumns, error) {
	for _, need := range []string{"pxname", "svname", "stot", "hrsp_5xx", "econ", "eresp", "wredis", "scur", "status"} {
		if !slices.Contains(head, need) {
			return &statColumns{}, fmt.Errorf("no column %s", need)
		}
	}
	at := func(name string) int { return slices.Index(head, name) }
	return &statColumns{
		pxname: at("pxname"), svname: at("svname"), status: at("status"), algo: at("algo"), mode: at("mode"),
		qcur: at("qcur"), scur: at("scur"), stot: at("stot"), hrsp5xx: at("hrsp_5xx"), reqTot: at("req_tot"),
		eresp: at("eresp"), econ: at("econ"), wredis: at("wredis"), wretr: at("wretr"),
	}, nil
}

func (c *statColumns) stat(row []string) stat {
	status := field(row, c.status)
	return stat{
		sessions: int(numeric(row, c.scur) + numeric(row, c.qcur)),
		algo:     field(row, c.algo),
		mode:     field(row, c.mode),
		up:       strings.HasPrefix(status, "UP") || strings.HasPrefix(status, "no check") || strings.HasPrefix(status, "DRAIN"),
		Counters: Counters{
			// The two are not counted at one instant.
			Requests:       max(0, numeric(row, c.stot)-numeric(row, c.scur)),
			Errors5xx:      numeric(row, c.hrsp5xx),
			ResponseErrors: numeric(row, c.eresp),
			ConnectErrors:  numeric(row, c.econ),
			Redispatches:   numeric(row, c.wredis),
			Retries:        numeric(row, c.wretr),
		},
		Totals: Totals{Requests: numeric(row, c.reqTot), Errors5xx: numeric(row, c.hrsp5xx)},
	}
}

func field(row []string, i int) string {
	if i < 0 || i >= len(row) {
		return ""
	}
	return row[i]
}

// numeric returns 0 for a field that this kind of row leaves empty.
func numeric(row []string, i int) int64 {
	text := field(row, i)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
