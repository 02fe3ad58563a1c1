// Package record reads and writes what a rollout was judged by, and judges it again: the same
// reports go into the same [analysis.Panel], and out comes how its verdict developed.
//
// It does no I/O of its own: it reads from an io.Reader as it goes, in bounded memory, and every
// mistake in the input names its line.
//
// # Records
//
// A record is JSON, one entry a line. "at" is the time in milliseconds on the fleet's clock, with
// decimals if need be; it never falls.
//
//	{"at":0,"head":{"rollout":"checkout-7","service":"checkout","wall":1795391802815,"gates":{...}}}
//	{"at":0,"step":1}
//	{"at":1000,"host":"web-01","incarnation":"a","canary":{"requests":10,"errors":0},
//	 "stable":{"1":{"requests":90,"errors":1}},"canary_instances":1}
//	{"at":1200,"told":"queue","held":true,"text":"depth 3 < 10"}
//	{"at":1300,"exclude":"web-03"}
//	{"at":1400,"verdict":{...}}
//
// A head says what is judged and by which gates, as in `serin check -o json`; "wall" is the time of
// its "at" in Unix milliseconds. "step" begins a step, with the frozen "baseline" if there is one.
// A line with "host" is an [analysis.Report]: cumulative counts. "told" is what a condition came
// to, "exclude" a host that the rollout went on without, "anew" that the evidence began anew,
// "verdict" what the panel came to, "full" that the record ends here because of its size. Where hosts
// are compared with hosts, "apart" marks reports of which only signals and usage count.
//
// # Request logs
//
// A request log is CSV with a header, one request a line: see [CSV]. Requests are summed up for each
// host and second into reports.
package record
