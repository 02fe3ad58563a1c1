package api

// The grades of a Check.
const (
	GradeOK   = "ok"
	GradeWarn = "warn" // works, and had better be seen to
	GradeFail = "fail" // does not work
)

// MostNamed is how many hosts a Check names at most.
const MostNamed = 10

// Checkup is what the leader finds of the group, of the bus and of the hosts. Its
// size does not grow with the fleet.
type Checkup struct {
	Leader  string  `json:"leader"`  // id
	Version string  `json:"version"` // of the leader
	Checks  []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	About string `json:"about"`          // replica c2, clocks, docker, ...
	Grade string `json:"grade"`          // ok, warn or fail
	Text  string `json:"text"`           // what was found, in words
	Next  string `json:"next,omitempty"` // what to do about it; empty if it is well
	// Count is how many hosts it concerns; Hosts are the first of them by name, and
	// what each has.
	Count int          `json:"count,omitempty"`
	Hosts []UnwellHost `json:"hosts,omitempty"`
}

// Disk is the room for what a program has to remember.
type Disk struct {
	Free int64 `json:"free"` // bytes, for one who is not root
	Size int64 `json:"size"` // bytes
}
