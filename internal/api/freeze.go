package api

// Freeze keeps rollouts of a service, or of the whole fleet, from beginning. What runs
// goes on, and a rollback is never barred.
type Freeze struct {
	Service string `json:"service"` // _fleet: all of them
	By      string `json:"by"`
	Reason  string `json:"reason,omitempty"`
	Since   int64  `json:"since"` // Unix ms
	// Until is when it ends, in Unix ms; 0: when it is thawed. Time in which no coordinator
	// leads puts it off.
	Until int64 `json:"until,omitempty"`
}
